import type { PaperLayer, PaperNetwork } from './network';

/** Tensors of the network: forward outputs first, then gradients. */
export interface PaperTensors {
  readonly bytes: readonly number[];
  /** Layer that makes each forward tensor; gradients follow from index `forwardCount` on. */
  readonly makerOf: readonly number[];
  readonly forwardCount: number;
  /** Outputs of each layer, one for every branch of a fork. */
  readonly outputs: readonly (readonly number[])[];
  readonly steps: readonly PaperStep[];
}

/** One of the 2N steps of an iteration; forward 1..N, then backward in the reverse order. */
export interface PaperStep {
  readonly layer: number;
  readonly backward: boolean;
  /** What it reads. A tensor listed twice is counted twice in the layer's size. */
  readonly reads: readonly number[];
  readonly creates: readonly number[];
}

/** Expands layers into tensors and steps with the authors' backward dependencies (papers' section on liveness; see `backwardReads`). */
export function expandTensors(network: PaperNetwork): PaperTensors {
  return new Expansion(network).result();
}

class Expansion {
  private readonly bytes: number[] = [];
  private readonly makerOf: number[] = [];
  private readonly outputs: number[][] = [];
  /** Output tensor of another layer that each input of a layer reads. */
  private readonly inputs: number[][] = [];
  private readonly gradientOf = new Map<number, number>();
  private readonly steps: PaperStep[] = [];

  constructor(private readonly network: PaperNetwork) {}

  result(): PaperTensors {
    const { layers } = this.network;
    layers.forEach((layer, i) => this.forward(layer, i));
    const forwardCount = this.bytes.length;
    for (let i = layers.length - 1; i >= 0; i--) this.backward(layers[i] as PaperLayer, i);
    return { bytes: this.bytes, makerOf: this.makerOf, forwardCount, outputs: this.outputs, steps: this.steps };
  }

  private forward(layer: PaperLayer, index: number): void {
    const reads = layer.inputs.map((input) => this.takeBranch(input));
    const creates = Array.from({ length: layer.branches }, () => this.tensor(layer.bytes, index));
    this.inputs.push(reads);
    this.outputs.push(creates);
    this.steps.push({ layer: index, backward: false, reads, creates });
  }

  private readonly taken = new Map<number, number>();

  /** The output of `layer` that its next reader takes. */
  private takeBranch(layer: number): number {
    const branch = this.taken.get(layer) ?? 0;
    this.taken.set(layer, branch + 1);
    const outputs = this.outputs[layer] as number[];
    return outputs[Math.min(branch, outputs.length - 1)] as number;
  }

  private tensor(bytes: number, maker: number): number {
    this.makerOf.push(maker);
    return this.bytes.push(bytes) - 1;
  }

  private backward(layer: PaperLayer, index: number): void {
    const outputs = this.outputs[index] as number[];
    const inputs = this.inputs[index] as number[];
    const arriving = outputs.map((output) => this.gradientOf.get(output)).filter((gradient) => gradient !== undefined);
    const reads = [...backwardReads(layer, inputs, outputs), ...arriving, ...(layer.kind === 'lrn' ? arriving : [])];
    const creates: number[] = [];
    if (inputs.length === 0) creates.push(this.tensor(this.network.inputBytes, index));
    inputs.forEach((input, i) => {
      const shared = this.sharedGradient(layer, outputs, arriving, i);
      const gradient = shared ?? this.tensor(this.bytes[input] as number, index);
      if (shared === undefined) creates.push(gradient);
      this.gradientOf.set(input, gradient);
    });
    this.steps.push({ layer: index, backward: true, reads, creates });
  }

  /** Gradients written over what is already there: activations and LRN over dy, softmax over its output, a join's first and a fork's. */
  private sharedGradient(layer: PaperLayer, outputs: readonly number[], arriving: readonly number[], input: number): number | undefined {
    if (layer.kind === 'softmax') return outputs[0];
    if (layer.kind === 'act' || layer.kind === 'lrn' || layer.kind === 'fork') return arriving[0];
    return layer.kind === 'join' && input === 0 ? arriving[0] : undefined;
  }
}

/** Forward tensors that the backward step reads, beside the gradients that arrive. */
function backwardReads({ kind }: PaperLayer, inputs: readonly number[], outputs: readonly number[]): readonly number[] {
  switch (kind) {
    case 'act':
    case 'lrn':
    case 'pool':
    case 'softmax':
      return [...outputs, ...inputs];
    case 'conv':
    case 'fc':
    case 'bn':
      return inputs;
    case 'dropout':
    case 'join':
    case 'fork':
      return [];
  }
}
