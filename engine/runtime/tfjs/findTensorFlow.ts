import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { TENSORFLOW_VARIABLE } from '../../contract/devices';
import type { TfjsModule } from '../../ops/opRecord';

/** A package that gives tfjs a backend, as it is installed somewhere. */
export interface TensorFlowInstallation {
  readonly package: string;
  readonly version: string;
  readonly folder: string;
  readonly hardware: string;
}

interface Candidate {
  readonly package: string;
  readonly hardware: string;
  /** Loads tfjs with this backend registered, and names the backend. */
  load(require: NodeJS.Require, folder: string): { tf: TfjsModule; backend: string };
}

const native =
  (name: string) =>
  (require: NodeJS.Require): { tf: TfjsModule; backend: string } => ({ tf: require(name) as TfjsModule, backend: 'tensorflow' });

/** Best first. All of them keep one tfjs-core, whose backends they extend. */
const CANDIDATES: readonly Candidate[] = [
  { package: '@tensorflow/tfjs-node-gpu', hardware: 'CUDA GPU', load: native('@tensorflow/tfjs-node-gpu') },
  { package: '@tensorflow/tfjs-node', hardware: 'processor, libtensorflow', load: native('@tensorflow/tfjs-node') },
  {
    package: '@tensorflow/tfjs-backend-wasm',
    hardware: 'processor, WebAssembly; some operators of training are missing',
    load(require, folder) {
      const backend = require('@tensorflow/tfjs-backend-wasm') as { setWasmPaths(folder: string): void };
      backend.setWasmPaths(`${path.join(folder, 'dist')}/`);
      return { tf: require('@tensorflow/tfjs-core') as TfjsModule, backend: 'wasm' };
    },
  },
  {
    package: '@tensorflow/tfjs-backend-cpu',
    hardware: 'processor, plain JavaScript; slow',
    load(require) {
      require('@tensorflow/tfjs-backend-cpu');
      return { tf: require('@tensorflow/tfjs-core') as TfjsModule, backend: 'cpu' };
    },
  },
];

/** Whether it computes with libtensorflow; the others are slower than the default runtime by their nature. */
export const isNative = ({ package: name }: TensorFlowInstallation): boolean => name.startsWith('@tensorflow/tfjs-node');

/** Folders whose node_modules may hold tfjs: the extension's storage, the working folder, NODE_PATH, and where Scalpel itself lies. */
export function searchFolders(): string[] {
  const listed = (process.env.NODE_PATH ?? '').split(path.delimiter);
  return [process.env[TENSORFLOW_VARIABLE] ?? '', process.cwd(), ...listed, __dirname].filter((folder) => folder !== '');
}

/** Everything installed in `folders`, best first, without loading it. */
export function findTensorFlow(folders: readonly string[] = searchFolders()): TensorFlowInstallation[] {
  const found = new Map<string, TensorFlowInstallation>();
  for (const candidate of CANDIDATES)
    for (const from of folders) {
      const folder = packageFolder(candidate.package, from);
      if (folder && !found.has(folder))
        found.set(folder, { package: candidate.package, version: versionOf(folder), folder, hardware: candidate.hardware });
    }
  return [...found.values()];
}

function packageFolder(name: string, from: string): string | undefined {
  const direct = path.join(from, name);
  if (existsSync(path.join(direct, 'package.json'))) return direct;
  try {
    return path.dirname(createRequire(path.join(path.resolve(from), 'index.js')).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

const versionOf = (folder: string): string =>
  (JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string }).version;

/** Loads an installation and makes its backend the active one. The first call of a process decides. */
export async function loadTensorFlow(installation: TensorFlowInstallation): Promise<TfjsModule> {
  const candidate = CANDIDATES.find((c) => c.package === installation.package);
  if (!candidate) throw new Error(`${installation.package} is not known`);
  const require = createRequire(path.join(installation.folder, 'index.js'));
  const { tf, backend } = candidate.load(require, installation.folder);
  tf.enableProdMode();
  if (!(await tf.setBackend(backend))) throw new Error(`its backend ${backend} did not start`);
  await tf.ready();
  return tf;
}
