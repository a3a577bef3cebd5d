import { type Node, floatOf } from '../graph/graph';
import { type Tensor, elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import { type ExpandedRules, appendForward } from './backward';
import type { RandomInput } from './perturbation';
import type { TrackedNorm } from './runningStatistics';

/** What the passes of one training graph have in common. */
export interface ForwardState {
  readonly builder: GraphBuilder;
  readonly training: boolean;
  readonly randoms: RandomInput[];
  /** Batch norms of all passes, in order. */
  readonly norms: TrackedNorm[];
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

  /**
   * The node gives the batch statistics themselves (momentum 0), which the backward pass needs. onnxruntime writes them over the running
   * statistics that the node is given, whoever else reads those, so that it is given a copy
   that counts for nothing and that no other node has.
   */
  private pushBatchNorm(source: Node, node: Node): Node {
    const { builder, norms } = this.state;
    const attributes = new Map(node.attributes)
      .set('training_mode', { kind: 'int', value: 1 })
      .set('momentum', { kind: 'float', value: 0 });
    const outputs = [node.outputs[0] ?? '', `${node.name}/batch_mean`, `${node.name}/batch_var`];
    const running = node.inputs.slice(3, 5);
    const copies = running.map((name) => builder.emit('Mul', [name, builder.scalar(norms.length + 1)]));
    const trained = this.push({ ...node, inputs: [...node.inputs.slice(0, 3), ...copies], outputs, attributes });
    this.followStatistics(source, trained);
    return trained;
  }

  private followStatistics(source: Node, node: Node): void {
    const shape = this.state.builder.shape(node.inputs[0] ?? '');
    this.state.norms.push({
      running: [source.inputs[3] ?? '', source.inputs[4] ?? ''],
      batch: [node.outputs[1] ?? '', node.outputs[2] ?? ''],
      momentum: floatOf(source, 'momentum', 0.9),
      samples: elementCount(shape) / (shape[1] ?? 1),
    });
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
