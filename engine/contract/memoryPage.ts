import type {
  MemoryCost,
  MemoryFormat,
  MemoryKind,
  MemoryPolicy,
  MemoryPoint,
  MemoryReport,
  PolicyReport,
  PoolTrace,
  StepMemory,
  TrainingMemory,
  WorkspaceMode,
} from './memory';

/** What a person chooses on the page. */
export interface MemoryChoice {
  readonly batch: number;
  readonly optimiser: 'sgd' | 'adam' | 'adamw';
  readonly policy: MemoryPolicy;
  /** Bytes of the pool; the least that holds everything when left out. */
  readonly budget?: number;
  /** 'fixed' when left out. */
  readonly workspace?: WorkspaceMode;
}

/** A timeline as columns, one entry a step: what a page draws and what keeps messages small when there are many layers. */
export interface MemorySteps {
  readonly layers: readonly string[];
  /** Place of each step's layer in `layers`. */
  readonly layer: readonly number[];
  readonly phase: readonly MemoryPoint['phase'][];
  readonly bytes: Readonly<Partial<Record<MemoryKind, readonly number[]>>>;
  readonly offloaded: readonly number[];
}

export interface MemoryView {
  /** Names this view when tensors of its steps are asked for. */
  readonly id: number;
  readonly choice: MemoryChoice;
  readonly report: Omit<MemoryReport, 'timeline'>;
  readonly steps: MemorySteps;
  /** The same choice without the surgery plan, where there is one that changes the network. */
  readonly before?: PolicyReport;
  /** The budget cannot be met: the steps are those of the policy's floor. */
  readonly isAtFloor: boolean;
}

export interface MemoryPageState {
  readonly file: string;
  /** Cuts of the surgery plan that the figures are with. */
  readonly hasSurgery: boolean;
  readonly choice: MemoryChoice;
  /** Layers of the model page, which the steps' layers are among. */
  readonly layers: readonly string[];
}

/** A step of a training that runs within planned memory. */
export interface LiveStep {
  /** Of the run. */
  readonly title: string;
  readonly step: number;
  readonly total: number;
  readonly memory: StepMemory;
}

/** What the pool holds in the step of a training that is running. */
export interface LivePool extends PoolTrace {
  readonly title: string;
  readonly step: number;
}

/** The page on the memory of a training step (webview/memory). */
export interface MemoryPageContract {
  requests: {
    /** Null when another choice or a change of the model took its place. */
    plan: { params: MemoryChoice; result: MemoryView | null };
    /** What budgets cost for this batch and optimiser; null when something else took its place. */
    costs: { params: MemoryChoice; result: readonly MemoryCost[] | null };
    alive: { params: { view: number; step: number }; result: MemoryPoint['alive'] };
    /** Largest batch that the budget holds, 0 when not even one sample fits. */
    largestBatch: { params: MemoryChoice; result: number | null };
    reveal: { params: { layer: string; where: 'model' | 'source' }; result: null };
    /** Name of the file written; null when no file was chosen. */
    export: { params: { choice: MemoryChoice; format: MemoryFormat }; result: string | null };
    /** Puts budget and policy into the settings, which tuning follows. */
    useForTraining: { params: MemoryChoice; result: null };
  };
  events: {
    state: MemoryPageState;
    live: LiveStep;
    livePool: LivePool;
    /** The training has ended, one way or another; with what it took in all when it came to its end. */
    liveEnd: { readonly title: string; readonly memory?: TrainingMemory };
  };
}
