/** Bundles the command line, the engine process, the extension and its pages into dist/. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { root } from './install.mjs';

const common = { bundle: true, absWorkingDir: root, logLevel: 'warning', sourcemap: true, target: 'es2022' };
/** Packages with native parts stay outside the bundles. */
const external = ['vscode', 'koffi', 'onnxruntime-node'];
/** Bundled ES modules ask for their own address, which CommonJS does not have. */
const moduleUrl = "const moduleUrl = require('node:url').pathToFileURL(__filename).href;";
const node = {
  ...common,
  platform: 'node',
  format: 'cjs',
  external,
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: moduleUrl },
};

const builds = [
  build({ ...node, entryPoints: ['engine/cli/main.ts'], outfile: 'dist/cli.js', banner: { js: `#!/usr/bin/env node\n${moduleUrl}` } }),
  build({ ...node, entryPoints: ['engine/server/main.ts'], outfile: 'dist/engine.js' }),
  build({ ...node, entryPoints: ['engine/datasets/decodeWorker.ts'], outfile: 'dist/decodeWorker.js' }),
];
builds.push(build({ ...node, entryPoints: ['extension/extension.ts'], outfile: 'dist/extension.js' }));
for (const page of readdirSync(path.join(root, 'webview')))
  if (existsSync(path.join(root, 'webview', page, 'main.ts')))
    builds.push(
      build({
        ...common,
        platform: 'browser',
        format: 'iife',
        minify: true,
        entryPoints: { [page]: `webview/${page}/main.ts` },
        outdir: 'dist/webview',
      }),
    );

await Promise.all(builds);
for (const [from, to] of [
  ['node_modules/web-tree-sitter/web-tree-sitter.wasm', 'dist/web-tree-sitter.wasm'],
  ['node_modules/tree-sitter-python/tree-sitter-python.wasm', 'dist/tree-sitter-python.wasm'],
  ['node_modules/tree-sitter-typescript/tree-sitter-tsx.wasm', 'dist/tree-sitter-tsx.wasm'],
])
  copyFileSync(path.join(root, from), path.join(root, to));
chmodSync(path.join(root, 'dist/cli.js'), 0o755);
/** Classes that are written into a person's source; those for TypeScript are written into JavaScript without their types. */
const templates = path.join(root, 'extension/source/templates');
mkdirSync(path.join(root, 'dist/templates'), { recursive: true });
for (const file of readdirSync(templates)) copyFileSync(path.join(templates, file), path.join(root, 'dist/templates', file));
const typed = readFileSync(path.join(templates, 'tfjs.ts'), 'utf8').replace(/^$/gm, '//');
const { outputText } = ts.transpileModule(typed, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, useDefineForClassFields: false } }); // prettier-ignore
const untyped = outputText.replace(/^ *\/\/$/gm, '').replace(/^( {4})+/gm, (indent) => ' '.repeat(indent.length / 2));
writeFileSync(path.join(root, 'dist/templates/tfjs.js'), untyped);
