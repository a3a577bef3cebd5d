import type { Emitter } from '../ops/opRecord';

/** A batch norm whose running statistics follow those of the batch. */
export interface TrackedNorm {
  /** Mean and variance. */
  readonly running: readonly [string, string];
  readonly batch: readonly [string, string];
  readonly momentum: number;
  /** Samples that one channel's statistics are taken over. */
  readonly samples: number;
}

/**
 * New running statistics by initializer; a norm that comes twice goes on from the first time. The running variance takes the unbiased batch
 * variance, as PyTorch's does (ONNX takes the biased one).
 *
 * @param renamed what a batch statistic is called in the emitter's graph
 */
export function followStatistics(
  emitter: Emitter,
  norms: readonly TrackedNorm[],
  renamed: (value: string) => string = (value) => value,
): Map<string, string> {
  const statistics = new Map<string, string>();
  for (const { running, batch, momentum, samples } of norms)
    running.forEach((name, i) => {
      const named = (op: string): { name: string } => ({ name: `update/${name}/${op}` });
      const factor = i === 0 ? 1 : samples / Math.max(1, samples - 1);
      const kept = emitter.emit('Mul', [statistics.get(name) ?? name, emitter.scalar(momentum)], {}, named('Mul'));
      const fresh = emitter.emit('Mul', [renamed(batch[i] as string), emitter.scalar((1 - momentum) * factor)], {}, named('Mul'));
      statistics.set(name, emitter.emit('Add', [kept, fresh], {}, named('Add')));
    });
  return statistics;
}
