import { SurgeryError } from '../graph/errors';
import { CostTable } from '../ops/costTable';
import type { Runtime } from './runtime';

/** Layout of activations in training: blocked where its kernels work and the plain one otherwise, always the plain one, or blocked or an error. */
export type Layout = 'auto' | 'portable' | 'blocked';

export const LAYOUTS: readonly Layout[] = ['auto', 'portable', 'blocked'];

const reported = new Set<string>();

/**
 * Channels of a block that a training graph should use; 1 for the plain layout.
 * @throws SurgeryError 'runtime-failed' when 'blocked' is asked for and does not work here
 */
export async function blockSize(
  runtime: Runtime,
  layout: Layout = 'auto',
  device = 'cpu',
  log: (message: string) => void = console.error,
): Promise<number> {
  if (layout === 'portable') return 1;
  const kernels = device === 'cpu' ? await runtime.blockedKernels?.() : undefined;
  const { block, reason } = kernels ?? {
    block: 1,
    reason: `${runtime.name} has no blocked kernels for device ${device}`,
  };
  if (block > 1) return block;
  if (layout === 'blocked')
    throw new SurgeryError('runtime-failed', `--layout blocked is not possible here: ${reason ?? 'no reason known'}`);
  if (reason && kernels && !reported.has(reason)) {
    reported.add(reason);
    log(`The plain layout is used for training: ${reason}`);
  }
  return 1;
}

/** Measured costs of formulations, where this machine was calibrated. */
export function measuredCosts(runtime: Runtime, device = 'cpu'): CostTable | undefined {
  const measured = device === 'cpu' ? runtime.kernelCosts?.() : undefined;
  return measured && new CostTable(measured.formulations);
}
