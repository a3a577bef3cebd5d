import { Random } from '../../engine/graph/random';
import type { MemoryProgram, Operation, Storage } from '../../engine/memory/program';

/** A network with random shortcuts: forward operations, then one backward operation for each that reads what it read and made. */
export function randomProgram(seed: number): MemoryProgram {
  const random = new Random(seed);
  const storages: Storage[] = [];
  const operations: Operation[] = [];
  const add = (name: string, pinned = false): number =>
    storages.push({ name, bytes: 1 + random.integer(40_000), kind: pinned ? 'weights' : 'activations', layer: name, pinned }) - 1;
  const operation = (name: string, reads: number[], writes: (number | undefined)[], forward: boolean): void =>
    void operations.push({
      name,
      layer: name,
      phase: forward ? 'forward' : 'backward',
      reads: [...new Set(reads)],
      writes,
      overwritable:
        random.uniform() < 0.3 && reads[0] !== undefined && storages[reads[0]]?.bytes === storages[writes[0] ?? -1]?.bytes
          ? [reads[0]]
          : [],
      ignored: [],
      recomputable: forward && random.uniform() < 0.6,
      seconds: 1e-4,
    });
  const input = add('input');
  const made = [input];
  const steps: { reads: number[]; output: number }[] = [];
  for (let i = 0; i < 3 + random.integer(14); i++) {
    const reads = [made[made.length - 1]!, ...(random.uniform() < 0.3 ? [made[random.integer(made.length)]!] : []), add(`w${i}`, true)];
    const output = add(`y${i}`);
    operation(`f${i}`, reads, [output], true);
    steps.push({ reads, output });
    made.push(output);
  }
  let gradient = add('g');
  operation('loss', [made[made.length - 1]!], [gradient], false);
  for (const { reads, output } of steps.reverse()) {
    const next = add(`d${output}`);
    operation(`b${output}`, [gradient, ...reads, ...(random.uniform() < 0.5 ? [output] : [])], [next], false);
    gradient = next;
  }
  return { storages, operations, inputs: [input], outputs: [gradient] };
}
