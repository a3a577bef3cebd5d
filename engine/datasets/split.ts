import { SurgeryError } from '../graph/errors';
import { Random } from '../graph/random';
import { type Split, subset } from './dataset';

const SPLIT_SEED = 20;

/** Holds out a fraction of each class, the same samples every time. A fraction of 0 trains and tests on everything. */
export function holdOut(all: Split, fraction = 0.2): { train: Split; test: Split; note: string } {
  if (!(fraction >= 0 && fraction < 1)) throw new SurgeryError('option-invalid', `The held-out fraction ${fraction} is not in [0, 1)`);
  if (fraction === 0) return { train: all, test: all, note: 'split: none; training and testing use all samples' };
  const order = new Random(SPLIT_SEED).permutation(all.count);
  const perClass = new Map<number, number>();
  for (const label of all.labels) perClass.set(label, (perClass.get(label) ?? 0) + 1);
  const left = new Map([...perClass].map(([label, count]) => [label, Math.round(count * fraction)]));
  const held = new Set<number>();
  for (const position of order) {
    const label = all.labels[position] ?? 0;
    const wanted = left.get(label) ?? 0;
    if (wanted === 0) continue;
    held.add(position);
    left.set(label, wanted - 1);
  }
  const positions = (keep: boolean): Uint32Array =>
    Uint32Array.from({ length: all.count }, (_, i) => i).filter((i) => held.has(i) === keep);
  const note = `split: ${held.size} of ${all.count} samples held out for testing, ${Math.round(fraction * 100)} % of each class, seed ${SPLIT_SEED}`;
  return { train: subset(all, positions(false)), test: subset(all, positions(true)), note };
}
