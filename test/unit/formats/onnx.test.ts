import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { create, toBinary } from '@bufbuild/protobuf';
import { createModel } from '../../../engine/architectures/createModel';
import { encodeOnnx } from '../../../engine/formats/onnx/encodeOnnx';
import { AttributeProto_AttributeType, ModelProtoSchema } from '../../../engine/formats/onnx/onnx_pb';
import { parseOnnx, readOnnx } from '../../../engine/formats/onnx/readOnnx';
import { writeOnnx } from '../../../engine/formats/onnx/writeOnnx';
import { SurgeryError } from '../../../engine/graph/errors';
import { shared } from '../../support/shared';

const small = createModel('small-cnn', { input: [1, 12, 12], classes: 3, seed: 1 });

describe('ONNX files', () => {
  it('reads back what it writes', () => {
    const read = parseOnnx(encodeOnnx(small));
    assert.deepEqual(
      read.nodes.map((n) => [n.name, n.op, n.inputs, n.outputs]),
      small.nodes.map((n) => [n.name, n.op, n.inputs, n.outputs]),
    );
    assert.deepEqual(read.initializers.get('conv1.weight')?.data, small.initializers.get('conv1.weight')?.data);
    assert.deepEqual(read.outputs[0]?.shape, ['N', 3]);
  });

  it('keeps operators, attributes and fields that it does not know, byte for byte', () => {
    const strange = new Uint8Array([0xfa, 0x3e, 0x03, 1, 2, 3]); // field 1007, three bytes
    const bytes = toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        opsetImport: [
          { domain: '', version: 17n },
          { domain: 'acme', version: 3n },
        ],
        graph: {
          name: 'g',
          node: [
            {
              opType: 'Frobnicate',
              domain: 'acme',
              input: ['x'],
              output: ['y'],
              attribute: [
                {
                  name: 'types',
                  type: AttributeProto_AttributeType.TYPE_PROTO,
                  tp: { value: { case: 'tensorType', value: { elemType: 1 } } },
                },
              ],
            },
          ],
          input: [{ name: 'x' }],
          output: [{ name: 'y' }],
        },
      }),
    );
    const whole = Buffer.concat([bytes, strange]);
    assert.ok(Buffer.from(encodeOnnx(parseOnnx(whole))).equals(whole));
  });

  const folder = shared && path.join(shared, 'models');
  if (folder)
    it('writes every real model back as it was read', () => {
      for (const file of readdirSync(folder, { recursive: true })
        .map(String)
        .filter((f) => f.endsWith('.onnx'))) {
        const bytes = readFileSync(path.join(folder, file));
        assert.ok(Buffer.from(encodeOnnx(parseOnnx(bytes, file))).equals(bytes), file);
      }
    });

  it('says in one error what is wrong with bytes that are no model', () => {
    const bytes = encodeOnnx(small);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        try {
          parseOnnx(bytes.slice(0, length), 'cut.onnx');
        } catch (error) {
          assert.ok(error instanceof SurgeryError, String(error));
          assert.match(error.message, /cut\.onnx/);
        }
      }),
      { numRuns: 60 },
    );
    assert.throws(() => parseOnnx(Buffer.from('hello'), 'text.onnx'), /text\.onnx is not an ONNX model/);
  });

  it('puts weights into a second file beyond the limit and finds them again', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-test-'));
    try {
      const file = path.join(folder, 'large.onnx');
      await writeOnnx(small, file, { inlineLimit: 1000 });
      assert.deepEqual(readdirSync(folder).sort(), ['large.onnx', 'large.onnx.data']);
      const read = await readOnnx(file);
      assert.deepEqual(read.initializers.get('conv3.weight')?.data, small.initializers.get('conv3.weight')?.data);
      rmSync(path.join(folder, 'large.onnx.data'));
      await assert.rejects(readOnnx(file), /large\.onnx\.data .* is missing/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
