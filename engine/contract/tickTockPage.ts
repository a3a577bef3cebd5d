import type { Measured } from './models';
import type { NoiseOptions } from './noise';
import type { PruneBudget } from './protocol';
import type { TickTockPoint, TickTockSettings } from './tickTock';

/** What a person sets before a run. */
export interface TickTockForm {
  readonly data: string;
  /** Name of the file that is written beside the model. */
  readonly output: string;
  readonly budget: PruneBudget;
  readonly settings: TickTockSettings;
  /** Model file, beside the model or elsewhere, whose outputs are learnt; the network before pruning when left out. */
  readonly teacher?: string;
  readonly noise?: NoiseOptions;
  /** Every point's network is kept, so that an earlier one can be chosen. */
  readonly keepTicks: boolean;
}

export type TickTockStatus = 'running' | 'stopping' | 'pausing' | 'paused' | 'done' | 'failed';

export interface TickTockCard {
  readonly before: Measured;
  readonly after: Measured;
  readonly maskedDifference: number;
  readonly stopped: boolean;
}

/** A run as its page shows it. */
export interface TickTockRunState {
  readonly output: string;
  readonly status: TickTockStatus;
  readonly points: readonly TickTockPoint[];
  readonly budget: PruneBudget;
  /** Why it is paused or failed; what it does otherwise. */
  readonly message: string;
  readonly card?: TickTockCard;
}

export interface TickTockPageState {
  readonly file: string;
  /** Of the network that the run starts from. */
  readonly whole: { readonly macs: number; readonly parameters: number; readonly filters: number };
  readonly form: TickTockForm;
  /** The paper's settings. */
  readonly paper: TickTockSettings;
  /** Layers whose groups lose nothing. */
  readonly locked: readonly string[];
  /** Cuts of the surgery plan come first. */
  readonly hasSurgery: boolean;
  readonly run?: TickTockRunState;
}

/** One layer before and after. */
export interface LayerComparison {
  readonly layer: string;
  readonly op: string;
  readonly channels: readonly [number, number];
  readonly macs: readonly [number, number];
  readonly parameters: readonly [number, number];
}

/** The Tick-Tock page (webview/tickTock). */
export interface TickTockPageContract {
  requests: {
    start: { params: TickTockForm; result: null };
    /** Ends the run and keeps the network of its last Tick or epoch. */
    stop: { params: null; result: null };
    /** Ends the run but keeps its checkpoint. */
    pause: { params: null; result: null };
    resume: { params: null; result: null };
    /** Ends the run and removes its checkpoint. */
    discard: { params: null; result: null };
    /** Reads a settings file that is chosen in a dialog; null when none was. */
    chooseSettings: { params: null; result: { name: string; settings: TickTockSettings } | null };
    /** Opens the paper's settings as a file to edit and save. */
    writeSettings: { params: null; result: null };
    /** Opens the result, or the network of a point. */
    open: { params: { snapshot?: string }; result: null };
    compare: { params: null; result: readonly LayerComparison[] };
    /** Brings the source in step with the result, as a previewed edit. */
    applyToSource: { params: null; result: null };
  };
  events: {
    state: TickTockPageState;
    progress: { message: string; fraction: number };
  };
}
