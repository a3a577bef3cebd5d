import type { TickTockPhase, TickTockPoint } from '../../engine/contract/tickTock';
import type { Band } from '../shared/lineChart';

/** Name and colour of every phase. */
export const PHASES: Readonly<Record<TickTockPhase, { readonly name: string; readonly colour: number }>> = {
  tock: { name: 'Tock', colour: 1 },
  tick: { name: 'Tick', colour: 0 },
  finetune: { name: 'Fine-tuning', colour: 2 },
  final: { name: 'Final', colour: 3 },
};

/** Stretches of one phase over the passes. */
export function bandsOf(points: readonly TickTockPoint[]): Band[] {
  const bands: { phase: TickTockPhase; from: number; to: number }[] = [];
  let before = 0;
  for (const { phase, passes } of points) {
    const last = bands.at(-1);
    if (last?.phase === phase) last.to = passes;
    else bands.push({ phase, from: before, to: passes });
    before = passes;
  }
  return bands.map(({ phase, from, to }) => ({ from, to, ...PHASES[phase] }));
}
