import type { FeatureMaps, NoiseMagnitudes, NoiseOptions } from './noise';
import type { Attack, AttackNorm, RobustnessReport } from './robustness';

/** What the page on noise and robustness shows; sent whole whenever something changed. */
export interface NoisePageState {
  readonly file: string;
  /** Layers that can take noise, and whether they do by themselves. */
  readonly layers: readonly { readonly name: string; readonly op: string; readonly isAutomatic: boolean }[];
  /** The noise of the surgery plan. */
  readonly planned?: NoiseOptions;
  readonly data: string;
  /** Whether cuts of the plan make 'before' and 'after' differ. */
  readonly hasSurgery: boolean;
  /** Networks that this page trained, by name. */
  readonly trained: readonly string[];
}

/** One network's accuracy without and under attack. */
export interface RobustnessCurve {
  readonly name: string;
  readonly report: RobustnessReport;
}

export interface NoisePageContract {
  requests: {
    /** Puts the noise into the plan as an undoable edit, or takes it out. */
    plan: { params: { noise: NoiseOptions | null }; result: null };
    /** Tunes a copy; `step` events tell how it goes. */
    train: { params: { noise: NoiseOptions; data: string; epochs: number }; result: { name: string; accuracy: number } | null };
    /** The file, the file after surgery, and every network trained here. Null when cancelled. */
    attack: {
      params: { data: string; attack: Attack; norm: AttackNorm; epsilons: readonly number[]; samples: number };
      result: readonly RobustnessCurve[] | null;
    };
    /** The model's maps, and the last trained network's. */
    features: {
      params: { noise: NoiseOptions; data: string; layer: string; sample: number };
      result: readonly { readonly name: string; readonly maps: FeatureMaps }[];
    };
    cancel: { params: null; result: null };
  };
  events: {
    state: NoisePageState;
    progress: { message: string; fraction: number };
    step: { step: number; total: number; loss: number; noise: NoiseMagnitudes };
  };
}
