/** `npm run package`: a .vsix for this platform with the native parts it needs and nothing else. */
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execute, installDependencies, root } from './install.mjs';

const stage = path.join(root, 'out/vsix');
const target = `${process.platform}-${process.arch}`;
const FILES = ['dist', 'sample', 'extension/media', 'README.md', 'CHANGELOG.md', 'LICENSE', '.vscodeignore'];
const NATIVE = ['koffi', 'onnxruntime-node', 'onnxruntime-common'];

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
const writeJson = (file, value) => writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);

/** Copies a package without what other platforms need. */
function copyPackage(name) {
  const from = path.join(root, 'node_modules', name);
  const binaries = path.join('bin', 'napi-v6');
  const keep = path.join(binaries, process.platform, process.arch);
  const filter = (file) => {
    const relative = path.relative(from, file);
    if (/(^|[\\/])(node_modules|src|lib|doc|script|__commonjs|esm)([\\/]|$)/.test(relative) && name !== 'koffi') return false;
    if (/\.(map|md|h|hh|cc|c|cmake|txt)$|CHANGELOG|binding\.gyp/.test(relative)) return false;
    return !relative.startsWith(binaries) || keep.startsWith(relative) || relative.startsWith(keep);
  };
  cpSync(from, path.join(stage, 'node_modules', name), { recursive: true, filter, dereference: true });
}

function stagePackage() {
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  for (const file of FILES) cpSync(path.join(root, file), path.join(stage, file), { recursive: true, filter: (f) => !f.endsWith('.map') });
  const koffi = readdirSync(path.join(root, 'node_modules/@koromix')).find((name) => name === `koffi-${target}`);
  const names = koffi ? [...NATIVE, `@koromix/${koffi}`] : NATIVE;
  for (const name of names) copyPackage(name);
  for (const name of names) {
    const file = path.join(stage, 'node_modules', name, 'package.json');
    const { dependencies: _own, optionalDependencies: _optional, devDependencies: _dev, scripts: _scripts, ...kept } = readJson(file);
    writeJson(file, kept);
  }
  const { devDependencies: _dev, scripts: _scripts, bin: _bin, dependencies, ...manifest } = readJson(path.join(root, 'package.json'));
  const versions = Object.fromEntries(
    names.map((name) => [name, dependencies[name] ?? readJson(path.join(stage, 'node_modules', name, 'package.json')).version]),
  );
  writeJson(path.join(stage, 'package.json'), { ...manifest, private: undefined, dependencies: versions });
}

installDependencies();
execute(process.execPath, ['tools/build.mjs']);
stagePackage();
const { name, version } = readJson(path.join(root, 'package.json'));
const output = path.join(root, 'out', `${name}-${version}-${target}.vsix`);
const vsce = path.join(root, 'node_modules/@vscode/vsce/vsce');
if (!existsSync(vsce)) throw new Error('vsce is not installed');
execute(process.execPath, [vsce, 'package', '--target', target, '--out', output, '--allow-missing-repository', '--skip-license'], {
  cwd: stage,
});
console.log(`${path.relative(root, output)}: ${(statSync(output).size / 2 ** 20).toFixed(1)} MiB`);
