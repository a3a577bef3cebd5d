import path from 'node:path';
import { buildSync } from 'esbuild';
import { runInGroup } from './memoryGroup';

export const MIB = 2 ** 20;

/** How a CIFAR ResNet of 6n + 2 layers is trained at batch 32. */
export type Kind = 'budget' | 'half' | 'unplanned' | 'eager' | 'per-block' | 'sqrt-segments';

export interface Settings {
  readonly n: number;
  readonly steps: number;
  readonly threads: number;
  /** Of JavaScript's heap, bytes. */
  readonly heap: number;
}

export interface Outcome {
  readonly ok: boolean;
  /** Wall and processor time of each step, seconds. */
  readonly steps: readonly { readonly wall: number; readonly processor: number }[];
  readonly loss: string;
  /** Most that the kernel charged to the process, bytes. */
  readonly peak: number;
}

const worker = path.join(__dirname, '../../dist/memoryDepthStep.cjs');

/** Makes the program that trains ours. */
export function buildWorker(): void {
  buildSync({
    entryPoints: [path.join(__dirname, 'memoryDepthStep.ts')],
    outfile: worker,
    bundle: true,
    platform: 'node',
    external: ['koffi', 'onnxruntime-node'],
  });
}

/** A pool that grows only by what stays in it: small vectors of every layer. */
const budgetOf = (n: number): number => Math.round((64 + 0.06 * n) * MIB);

const torch = (mode: Kind, { n, steps, threads }: Settings): string[] => [
  process.env.PYTHON ?? '/usr/bin/python3',
  path.join(__dirname, 'memoryDepthTorch.py'),
  mode,
  ...[n, steps, threads].map(String),
];

function ours({ n, steps, threads, heap }: Settings, ...budget: string[]): string[] {
  const limits = ['--max-semi-space-size=2', `--max-old-space-size=${Math.round(heap / MIB)}`];
  return [process.execPath, ...limits, worker, ...[6 * n + 2, steps, threads].map(String), ...budget];
}

function commandOf(kind: Kind, settings: Settings): string[] {
  if (kind === 'budget') return ours(settings, String(budgetOf(settings.n)));
  if (kind === 'half') return ours(settings, 'half');
  return kind === 'unplanned' ? ours(settings) : torch(kind, settings);
}

/** Trains for some steps within `limit` bytes for the whole process; without a limit when undefined. */
export async function trainWithin(kind: Kind, settings: Settings, limit: number | undefined): Promise<Outcome> {
  const { code, output, errors, peak } = await runInGroup(commandOf(kind, settings), limit);
  if (code !== 0 && process.env.DEBUG) console.error(output, errors.slice(-2000));
  const lines = output.split('\n').filter((line) => line.startsWith('step'));
  const steps = lines.map((line) => {
    const [, wall = NaN, processor = NaN] = line.split(' ').map(Number);
    return { wall, processor };
  });
  return { ok: code === 0, steps, loss: lines.at(-1)?.split(' ')[3] ?? '', peak };
}
