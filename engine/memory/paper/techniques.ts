import type { PaperReport, PaperResult } from '../../contract/memory';
import { CHECKPOINTS, type PaperNetwork } from './network';
import { type PaperStep, type PaperTensors, expandTensors } from './tensors';

export type RecomputeStrategy = 'speed' | 'memory';

const MIB = 2 ** 20;

/** Peaks under the paper's own cost model: baseline, then each technique on top of the one before (SuperNeurons, section 3). */
export function analysePaperNetwork(network: PaperNetwork): PaperReport {
  const tensors = expandTensors(network);
  const simulate = (options: TechniqueOptions): PaperResult => new PaperRun(network, tensors, options).result();
  const segments = segmentsOf(network);
  const chosen = chooseStrategies(network, tensors, segments);
  return {
    baseline: {
      peakMiB: sum(tensors.bytes) / MIB,
      step: tensors.steps.length,
      tensors: tensors.bytes.length,
      recomputes: 0,
    },
    liveness: simulate({}),
    offload: simulate({ offload: true }),
    speedCentric: simulate({ offload: true, segments, strategyOf: () => 'speed' }),
    memoryCentric: simulate({ offload: true, segments, strategyOf: () => 'memory' }),
    costAware: simulate({ offload: true, segments, strategyOf: (segment) => chosen[segment] ?? 'speed' }),
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Maximal runs of layers that are no checkpoints, each fed by the layer before it; by layer index, undefined for checkpoints. */
export function segmentsOf({ layers }: PaperNetwork): readonly (number | undefined)[] {
  const result: (number | undefined)[] = [];
  let count = 0;
  layers.forEach((layer) => {
    if (CHECKPOINTS.has(layer.kind)) return result.push(undefined);
    const before = layer.inputs[0];
    return result.push((before === undefined ? undefined : result[before]) ?? count++);
  });
  return result;
}

/** l_peak: the most that one layer's own tensors take, which nothing at the granularity of layers can go below. */
export const largestLayer = ({ bytes, steps }: PaperTensors): number =>
  Math.max(...steps.map((step) => sum([...step.reads, ...step.creates].map((t) => bytes[t] ?? 0))));

/** Section 3.4: speed-centric where the recomputed segment with its last backward step fits under l_peak, else memory-centric. */
function chooseStrategies(network: PaperNetwork, tensors: PaperTensors, segments: readonly (number | undefined)[]): RecomputeStrategy[] {
  const peak = largestLayer(tensors);
  const forward: number[] = [];
  const last: number[] = [];
  const size = (step: PaperStep): number => sum([...step.reads, ...step.creates].map((t) => tensors.bytes[t] ?? 0));
  network.layers.forEach((layer, i) => {
    const segment = segments[i];
    if (segment === undefined) return;
    forward[segment] = (forward[segment] ?? 0) + layer.bytes;
    last[segment] = size(tensors.steps[tensors.steps.length - 1 - i] as PaperStep);
  });
  return forward.map((bytes, segment) => (bytes + (last[segment] ?? 0) <= peak ? 'speed' : 'memory'));
}

interface TechniqueOptions {
  /** Convolution outputs (with recomputation every checkpoint) leave after the forward pass and come back one convolution ahead. */
  readonly offload?: boolean;
  readonly segments?: readonly (number | undefined)[];
  readonly strategyOf?: (segment: number) => RecomputeStrategy;
}

/** Walks the steps and keeps account of the tensors that are live. */
class PaperRun {
  private readonly live = new Set<number>();
  private readonly forwardUses: number[];
  private readonly lastUse: number[];
  private bytes = 0;
  private peak = { bytes: 0, step: 0, tensors: 0 };
  private recomputes = 0;
  private step = 0;

  constructor(
    private readonly network: PaperNetwork,
    private readonly tensors: PaperTensors,
    private readonly options: TechniqueOptions,
  ) {
    this.lastUse = tensors.bytes.map(() => -1);
    this.forwardUses = tensors.bytes.map(() => -1);
    tensors.steps.forEach((step, at) => {
      for (const t of [...step.reads, ...step.creates]) {
        this.lastUse[t] = at;
        if (!step.backward) this.forwardUses[t] = at;
      }
    });
  }

  result(): PaperResult {
    for (this.step = 0; this.step < this.tensors.steps.length; this.step++) this.run(this.tensors.steps[this.step] as PaperStep);
    return { peakMiB: this.peak.bytes / MIB, step: this.peak.step, tensors: this.peak.tensors, recomputes: this.recomputes };
  }

  private run(step: PaperStep): void {
    if (step.backward) {
      for (const tensor of step.reads) this.materialise(tensor);
      if (this.options.offload && this.kindOf(step.layer) === 'conv') this.prefetch();
    }
    for (const tensor of step.creates) this.add(tensor);
    this.freeUnused(step.backward);
  }

  private kindOf(layer: number) {
    return (this.network.layers[layer] as PaperNetwork['layers'][number]).kind;
  }

  private add(tensor: number): void {
    if (this.live.has(tensor)) return;
    this.live.add(tensor);
    this.bytes += this.tensors.bytes[tensor] ?? 0;
    if (this.bytes > this.peak.bytes) this.peak = { bytes: this.bytes, step: this.step + 1, tensors: this.live.size };
  }

  private remove(tensor: number): void {
    if (this.live.delete(tensor)) this.bytes -= this.tensors.bytes[tensor] ?? 0;
  }

  /** Fetches what left, or recomputes it from the checkpoint before it. */
  private materialise(tensor: number): void {
    if (this.live.has(tensor)) return;
    const segment = this.segmentOf(tensor);
    if (segment === undefined) return this.add(tensor);
    if (this.options.strategyOf?.(segment) === 'speed') this.recomputeSegment(segment);
    else this.recomputeChain(tensor);
  }

  private recomputeSegment(segment: number): void {
    this.network.layers.forEach((_, layer) => {
      if (this.options.segments?.[layer] !== segment) return;
      const { reads, creates } = this.tensors.steps[layer] as PaperStep;
      for (const input of reads) if (!this.live.has(input)) this.add(input);
      for (const output of creates) this.add(output);
      this.recomputes++;
    });
  }

  /** Recomputes up to one tensor and drops what lies between, as the next step may need it or not. */
  private recomputeChain(tensor: number): void {
    const chain: number[] = [];
    for (let t: number | undefined = tensor; t !== undefined && !this.live.has(t);) {
      chain.push(t);
      t = this.segmentOf(t) === undefined ? undefined : (this.tensors.steps[this.tensors.makerOf[t] as number] as PaperStep).reads[0];
    }
    chain.reverse();
    chain.forEach((t, i) => {
      this.add(t);
      if (this.segmentOf(t) !== undefined) this.recomputes++;
      const before = chain[i - 1];
      if (before !== undefined && this.segmentOf(before) !== undefined && !this.usedNow(before)) this.remove(before);
    });
  }

  private usedNow(tensor: number): boolean {
    return (this.tensors.steps[this.step] as PaperStep).reads.includes(tensor);
  }

  private segmentOf(tensor: number): number | undefined {
    return tensor < this.tensors.forwardCount ? this.options.segments?.[this.tensors.makerOf[tensor] as number] : undefined;
  }

  /** Convolution outputs that the convolution before this one, and the layers in between, will need; other checkpoints are fetched on use. */
  private prefetch(): void {
    for (let at = this.step + 1; at < this.tensors.steps.length; at++) {
      const step = this.tensors.steps[at] as PaperStep;
      for (const tensor of step.reads) if (this.isConvolution(tensor)) this.add(tensor);
      if (this.kindOf(step.layer) === 'conv') return;
    }
  }

  private isConvolution(tensor: number): boolean {
    return tensor < this.tensors.forwardCount && this.kindOf(this.tensors.makerOf[tensor] as number) === 'conv';
  }

  private isOffloaded(tensor: number): boolean {
    if (this.isConvolution(tensor)) return true;
    const kind = this.kindOf(this.tensors.makerOf[tensor] as number);
    return tensor < this.tensors.forwardCount && this.options.segments !== undefined && CHECKPOINTS.has(kind);
  }

  private freeUnused(backward: boolean): void {
    for (const tensor of this.live) {
      if (this.lastUse[tensor] === this.step) this.remove(tensor);
      else if (!backward && this.forwardUses[tensor] === this.step && this.leaves(tensor)) this.remove(tensor);
      else if (backward && this.isTransient(tensor)) this.remove(tensor);
    }
  }

  /** Whether a forward tensor goes after its last forward use. */
  private leaves(tensor: number): boolean {
    return (this.options.offload === true && this.isOffloaded(tensor)) || this.segmentOf(tensor) !== undefined;
  }

  /** Memory-centric: a recomputed tensor stays only if the very next step reads it. */
  private isTransient(tensor: number): boolean {
    const segment = this.segmentOf(tensor);
    if (segment === undefined || this.options.strategyOf?.(segment) === 'speed') return false;
    return !this.tensors.steps[this.step + 1]?.reads.includes(tensor);
  }
}
