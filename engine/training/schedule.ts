import { SurgeryError } from '../graph/errors';

export interface ScheduleOptions {
  readonly kind: 'constant' | 'step' | 'cosine' | 'triangular' | 'inverse';
  /** Rate at the start of constant, step and cosine; peak of triangular. */
  readonly rate: number;
  /** Lowest rate of cosine and triangular. */
  readonly minimum?: number;
  /** Fractions of the run after which `step` multiplies the rate by `gamma`. */
  readonly milestones?: readonly number[];
  readonly gamma?: number;
  /** `inverse` divides the rate by 1 + decay * step (Keras's decay). */
  readonly decay?: number;
  /** Steps of linear warm-up from zero. */
  readonly warmup?: number;
}

/** Decay of BT-RNN's experiments on UCF11 (Ye et al., CVPR 2018). */
const BT_RNN_DECAY = 1 / 6000;

/** Learning rate of step `step` of `total`; both ends included, step in [0, total). */
export function learningRate(options: ScheduleOptions, step: number, total: number): number {
  const { warmup = 0, decay = BT_RNN_DECAY } = options;
  const scale = (step < warmup ? (step + 1) / warmup : 1) / (options.kind === 'inverse' ? 1 + decay * step : 1);
  return scale * shape(options, total <= 1 ? 0 : step / total);
}

function shape({ kind, rate, minimum = 0, milestones = [0.5, 0.75], gamma = 0.1 }: ScheduleOptions, at: number): number {
  switch (kind) {
    case 'constant':
    case 'inverse':
      return rate;
    case 'step':
      return rate * gamma ** milestones.filter((m) => at >= m).length;
    case 'cosine':
      return minimum + ((rate - minimum) * (1 + Math.cos(Math.PI * at))) / 2;
    case 'triangular':
      return minimum + (rate - minimum) * (1 - Math.abs(2 * at - 1));
  }
}

export const SCHEDULES = ['constant', 'step', 'cosine', 'triangular', 'inverse'] as const;

export function parseSchedule(text: string): ScheduleOptions['kind'] {
  const found = SCHEDULES.find((kind) => kind === text);
  if (!found) throw new SurgeryError('option-invalid', `--schedule ${text} is unknown; choose one of ${SCHEDULES.join(', ')}`);
  return found;
}
