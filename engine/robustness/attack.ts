import type { Attack, AttackNorm } from '../contract/robustness';
import type { Random } from '../graph/random';
import { BALLS } from './ball';
import type { PixelSpace } from './pixelSpace';

export interface AttackSettings {
  readonly attack: Attack;
  readonly norm: AttackNorm;
  readonly epsilon: number;
  readonly steps: number;
  readonly stepSize?: number;
  readonly restarts: number;
}

/** What an attack may ask of the network about a batch; values are those of the pixel space. */
export interface Victim {
  /** Gradient of the loss with respect to the values. */
  gradient(values: Float32Array): Promise<Float32Array>;
  /** Loss of each sample, and whether its largest output is the label's. */
  judge(values: Float32Array): Promise<Judgement>;
}

export interface Judgement {
  readonly loss: Float64Array;
  readonly correct: Uint8Array;
}

/** Perturbed values of one start. */
type Perturb = (clean: Float32Array) => Promise<Float32Array>;

/** Attacks a batch: every sample is judged at its worst start. */
export async function attackBatch(
  victim: Victim,
  clean: Float32Array,
  space: PixelSpace,
  settings: AttackSettings,
  random: Random,
): Promise<Judgement> {
  const perturb = perturbation(victim, space, settings, random);
  let worst = await victim.judge(await perturb(clean));
  for (let start = 1; start < startsOf(settings); start++) worst = worse(worst, await victim.judge(await perturb(clean)));
  return worst;
}

const startsOf = ({ attack, restarts }: AttackSettings): number => (attack === 'pgd' || attack === 'random' ? restarts : 1);

const worse = (a: Judgement, b: Judgement): Judgement => ({
  loss: a.loss.map((v, i) => Math.max(v, b.loss[i] as number)),
  correct: a.correct.map((v, i) => v & (b.correct[i] as number)),
});

/**
 * FGSM (Goodfellow et al. 2015): one step of length epsilon. I-FGSM (Kurakin et al. 2017): several shorter ones from the sample.
 * PGD (Madry et al. 2018): from a random point of the ball. All stay inside the ball and inside the bounds of the data.
 */
function perturbation(victim: Victim, space: PixelSpace, settings: AttackSettings, random: Random): Perturb {
  const { attack, epsilon } = settings;
  const ball = BALLS[settings.norm];
  const { size } = space;
  const moved = (clean: Float32Array, change: Float32Array): Float32Array => clean.map((v, i) => space.clip(v + (change[i] as number)));
  if (attack === 'random') return (clean) => Promise.resolve(moved(clean, ball.randomDirection(clean.length, size, epsilon, random)));
  const steps = attack === 'fgsm' ? 1 : settings.steps;
  const stepSize = settings.stepSize ?? (attack === 'pgd' ? 2.5 : 1) * (epsilon / steps);
  return async (clean) => {
    let at = attack === 'pgd' ? moved(clean, ball.randomPoint(clean.length, size, epsilon, random)) : clean;
    for (let step = 0; step < steps; step++) {
      const direction = ball.steepest(await victim.gradient(at), size);
      const change = at.map((v, i) => v + (attack === 'fgsm' ? epsilon : stepSize) * (direction[i] as number) - (clean[i] as number));
      ball.project(change, size, epsilon);
      at = moved(clean, change);
    }
    return at;
  };
}
