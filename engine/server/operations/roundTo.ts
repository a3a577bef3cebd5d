import type { RoundTo } from '../../contract/protocol';
import { SurgeryError } from '../../graph/errors';
import { kernelGranularity } from '../../ops/channelCosts';
import type { OperationContext } from './operation';
import { processorRuntime } from './runtime';

/** Multiple of channels that files made for other machines can count on, where nothing was measured and no blocked kernels are there. */
const USUAL = 8;

/** The multiple that 'auto' stands for: as `scalpel calibrate` measured it, or else the block of the runtime's kernels. */
export async function resolveRoundTo(roundTo: RoundTo | undefined, context: OperationContext = {}): Promise<number | undefined> {
  if (roundTo !== 'auto') return roundTo;
  const runtime = processorRuntime();
  const measured = runtime.kernelCosts?.();
  if (measured) {
    const granularity = kernelGranularity(measured.channels);
    context.log?.(`--round-to auto: multiples of ${granularity}, as this machine was calibrated`);
    return granularity;
  }
  const { block } = (await runtime.blockedKernels?.()) ?? { block: 1 };
  const multiple = block > 1 ? block : USUAL;
  context.log?.(`--round-to auto: multiples of ${multiple}, the block of the kernels (scalpel calibrate measures what this machine likes)`);
  return multiple;
}

/** Makes a selection with multiples that are halved until the budget can be met. */
export async function withRounding<T>(
  multiple: number | undefined,
  isAuto: boolean,
  select: (multiple?: number) => Promise<T>,
): Promise<T> {
  try {
    return await select(multiple);
  } catch (error) {
    const canHalve = isAuto && (multiple ?? 1) > 1 && error instanceof SurgeryError && error.code === 'budget-impossible';
    if (!canHalve) throw error;
    return withRounding(Math.floor((multiple ?? 1) / 2), isAuto, select);
  }
}
