/** Generates engine/formats/onnx/onnx_pb.ts from onnx.proto. Run it after a change of onnx.proto. */
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execute, root } from './install.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-proto-'));
const template = path.join(folder, 'buf.gen.json');
const plugin = {
  local: path.join(root, 'node_modules', '.bin', 'protoc-gen-es'),
  out: path.join(root, 'engine/formats/onnx'),
  opt: ['target=ts'],
};
writeFileSync(template, JSON.stringify({ version: 'v2', plugins: [plugin] }));
try {
  execute('npx', ['--yes', '@bufbuild/buf@1.74.0', 'generate', 'engine/formats/onnx', '--template', template]);
} finally {
  rmSync(folder, { recursive: true });
}
