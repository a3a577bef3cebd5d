import { type Node, floatOf } from '../graph/graph';
import { type Tensor, elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import { type ExpandedRules, appendForward } from './backward';
import type { RandomInput } from './perturbation';

/** What the passes of one training graph have in common. */
export interface ForwardState {
  readonly builder: GraphBuilder;
  readonly training: boolean;
  readonly randoms: RandomInput[];
  /** New running statistics by initializer; each pass goes on from the one before. */
  readonly statistics: Map<string, string>;
  /** Values of the network, in its own names, that the backward pass goes through. */
  readonly differentiated: ReadonlySet<string>;
  /** Gradient rules of nodes that were expanded. */
  readonly rules: ExpandedRules;
}

export interface PassOptions {
  /** Names of this pass's values begin with it; the first pass has the network's own names. */
  readonly prefix?: string;
  /** A pass on the same batch whose values are used again as far as nothing differs. */
  readonly earlier?: ForwardPass;
  /** Perturbed name of a value, by its name in the network; undefined where the value stays as it is. */
  perturb?(value: string, name: string): string | undefined;
}

/** Adds forward nodes, in their training form where they have one. */
export class ForwardPass {
  /** The nodes of this pass, in order, for the backward pass. */
  readonly nodes: Node[] = [];
  private readonly names = new Map<string, string>();
  private readonly emitted = new Map<Node, Node>();

  constructor(
    private readonly state: ForwardState,
    private readonly options: PassOptions = {},
  ) {}

  /** Name in this pass of a value of the network. */
  nameOf(value: string): string {
    return this.names.get(value) ?? value;
  }

  /** Perturbs an input of the network if the options say so. */
  start(input: string): void {
    this.perturb(input);
  }

  add(node: Node): void {
    if (!this.reuse(node)) this.emit(node);
    node.outputs.forEach((output) => this.perturb(output));
  }

  private reuse(node: Node): boolean {
    const same = this.options.earlier?.emitted.get(node);
    if (!same || node.inputs.some((input) => this.names.has(input))) return false;
    this.nodes.push(same);
    if (same.op === 'BatchNormalization') this.followStatistics(node, same);
    return true;
  }

  private emit(source: Node): void {
    const { prefix = '' } = this.options;
    const outputs = source.outputs.map((output) => (output ? prefix + output : ''));
    const inputs = source.inputs.map((input) => this.nameOf(input));
    const node = { ...source, source: undefined, name: prefix + source.name, inputs, outputs };
    if (this.state.training && node.op === 'BatchNormalization') this.emitted.set(source, this.pushBatchNorm(source, node));
    else if (node.op === 'Dropout') this.pushDropout(source, node);
    else
      this.emitted.set(
        source,
        this.push(
          node,
          source.inputs.some((input) => this.state.differentiated.has(input)),
        ),
      );
    if (prefix) source.outputs.forEach((output, i) => output && this.names.set(output, outputs[i] ?? ''));
  }

  /** What a perturbation emits belongs to the pass, so that gradients find their way through it. */
  private perturb(value: string): void {
    const { nodes } = this.state.builder.graph;
    const before = nodes.length;
    const perturbed = this.options.perturb?.(value, this.nameOf(value));
    if (perturbed === undefined) return;
    this.names.set(value, perturbed);
    this.nodes.push(...nodes.slice(before));
  }

  private push(node: Node, differentiated = false): Node {
    if (differentiated) appendForward(this.state.builder, node, this.state.rules);
    else this.state.builder.append(node);
    this.nodes.push(node);
    return node;
  }

  /** The node gives the batch statistics themselves (momentum 0), which the backward pass needs. */
  private pushBatchNorm(source: Node, node: Node): Node {
    const attributes = new Map(node.attributes)
      .set('training_mode', { kind: 'int', value: 1 })
      .set('momentum', { kind: 'float', value: 0 });
    const outputs = [node.outputs[0] ?? '', `${node.name}/batch_mean`, `${node.name}/batch_var`];
    const inputs = [...node.inputs.slice(0, 3), this.scratch(node.inputs[3] ?? ''), this.scratch(node.inputs[4] ?? '')];
    const trained = this.push({ ...node, inputs, outputs, attributes });
    this.followStatistics(source, trained);
    return trained;
  }

  /** onnxruntime writes the batch statistics over the node's running ones, whoever else reads them; with momentum 0 their values do not matter. */
  private scratch(running: string): string {
    const { builder, statistics } = this.state;
    return builder.emit('Neg', [statistics.get(running) ?? running]);
  }

  /** The running variance takes the unbiased batch variance, as PyTorch's does (ONNX takes the biased one). */
  private followStatistics(source: Node, node: Node): void {
    const { builder, statistics } = this.state;
    const momentum = floatOf(source, 'momentum', 0.9);
    const shape = builder.shape(node.inputs[0] ?? '');
    const samples = elementCount(shape) / (shape[1] ?? 1);
    const follow = (running: string, batch: string, factor: number): void => {
      const kept = builder.emit('Mul', [statistics.get(running) ?? running, builder.scalar(momentum)]);
      statistics.set(running, builder.emit('Add', [kept, builder.emit('Mul', [batch, builder.scalar((1 - momentum) * factor)])]));
    };
    follow(source.inputs[3] ?? '', node.outputs[1] ?? '', 1);
    follow(source.inputs[4] ?? '', node.outputs[2] ?? '', samples / Math.max(1, samples - 1));
  }

  private pushDropout(source: Node, node: Node): void {
    const { builder, training, randoms } = this.state;
    const input = node.inputs[0] ?? '';
    const ratio = this.dropoutRatio(source);
    const plain = { ...node, domain: '', outputs: node.outputs.slice(0, 1), attributes: new Map() };
    if (!training || ratio === 0) {
      this.emitted.set(source, this.push({ ...plain, op: 'Identity', inputs: [input] }));
      return;
    }
    const dims = builder.shape(input);
    const mask = builder.input(`dropout/${node.name}`, dims);
    randoms.push({ input: mask, dims, distribution: { kind: 'dropout', ratio } });
    this.push({ ...plain, op: 'Mul', inputs: [input, mask] });
  }

  private dropoutRatio(node: Node): number {
    const tensor: Tensor | undefined = this.state.builder.constantOf(node.inputs[1] ?? '');
    const data = tensor?.data;
    return data instanceof Float32Array ? (data[0] ?? 0.5) : floatOf(node, 'ratio', 0.5);
  }
}
