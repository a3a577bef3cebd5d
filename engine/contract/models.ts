/** What the engine tells about a model. Shapes are lists of numbers or symbols; weights never cross. */
export interface LayerSummary {
  readonly name: string;
  readonly op: string;
  readonly outputShape: readonly (number | string)[];
  readonly parameters: number;
  /** Multiply-accumulates for one sample (DESIGN 5.1). */
  readonly macs: number;
  readonly activationBytes: number;
  /** Prunable group its output channels belong to. */
  readonly group?: string;
  /** Name of the weight initializer, which source code names too ("layer1.0.conv1.weight"). */
  readonly weight?: string;
  /** What the constructor of such a layer is told: channels, features or hidden units of one group of weights. */
  readonly features?: LayerFeatures;
}

export interface LayerFeatures {
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
}

export interface Totals {
  readonly parameters: number;
  readonly macs: number;
  readonly activationBytes: number;
}

export interface GroupSummary {
  readonly id: string;
  readonly channels: number;
  /** Nodes whose output channels the group holds together. */
  readonly layers: readonly string[];
  /** MACs of one sample and parameters that go with one channel while everything else stays. */
  readonly macsPerChannel: number;
  readonly parametersPerChannel: number;
}

export interface LockedChannels {
  readonly layer: string;
  readonly reason: string;
}

export interface UnsupportedNode {
  readonly node: string;
  readonly op: string;
  readonly reason: string;
}

export interface ModelSummary {
  readonly path: string;
  readonly hash: string;
  readonly bytes: number;
  readonly format: string;
  readonly opset: number;
  readonly inputs: readonly { name: string; type: string; shape: readonly (number | string)[] }[];
  readonly outputs: readonly { name: string; type: string; shape: readonly (number | string)[] }[];
  readonly layers: readonly LayerSummary[];
  readonly totals: Totals;
  readonly groups: readonly GroupSummary[];
  readonly locked: readonly LockedChannels[];
  readonly unsupported: readonly UnsupportedNode[];
  /** Layers whose outputs take noise in training when none are named. */
  readonly noiseLayers: readonly string[];
}

export interface Measured {
  readonly parameters: number;
  readonly macs: number;
  readonly bytes: number;
  /** Median over repeated runs of one sample on this machine. */
  readonly latencyMs: number;
  readonly latencySpreadMs?: number;
  readonly activationBytes?: number;
  /** Most bytes of activations alive at once for one sample. */
  readonly peakActivationBytes?: number;
  /** Fraction of the reduction in MACs that became time, after surgery: 1 where latency fell as much as the MACs. */
  readonly reductionRealised?: number;
  /** Why latency did not follow the MACs, where it did not. */
  readonly latencyNote?: string;
  readonly accuracy?: number;
}

export type Criterion = 'gate-taylor' | 'l1' | 'l2' | 'bn-scale' | 'fpgm' | 'lamp' | 'random';

export interface ImportanceReport {
  readonly criterion: Criterion;
  readonly batches: number;
  /** Scores of each prunable group's channels, in channel order. */
  readonly groups: readonly GroupImportance[];
  readonly totals: Totals;
  /** Loss on the batches that were scored; undefined for criteria that need no data. */
  readonly loss?: number;
}

export interface GroupImportance {
  readonly id: string;
  readonly layers: readonly string[];
  readonly scores: readonly number[];
  /** What the product predicts as the loss change when each channel goes (first order); only with gate-taylor. */
  readonly lossChange?: readonly number[];
}
