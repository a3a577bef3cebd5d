import { NamedEmitter } from '../namedEmitter';
import { type Node, floatOf, intOf } from '../../graph/graph';
import { type Tensor, numbersOf } from '../../graph/tensor';
import { GraphBuilder } from '../../ops/graphBuilder';
import { type ExpandedRules, type ForwardNode, appendForward } from '../backward';
import { type Encoding, paddedVector } from '../encoding';
import { enterBlocks, leaveBlocks } from './emit';
import { type UnitPlan, findUnits, runningStatistics } from './findUnits';
import { averagePoolGradient, emitGlobalAverage, emitPool, globalAverageGradient, maxPoolGradient, tilingKernel } from './pools';
import { padded } from './sizes';
import { type EmittedUnit, emitUnit } from './unit';
import { weightEncoding } from './weightEncoding';

export interface BlockedForwardOptions {
  readonly block: number;
  /** Values that gradients are wanted for. */
  readonly wanted: ReadonlySet<string>;
  /** Values that must be there in plain form. */
  readonly kept: ReadonlySet<string>;
  /** Nodes that are expanded for differentiation. */
  readonly rules?: ReadonlyMap<Node, unknown>;
}

export interface BlockedForward {
  readonly builder: GraphBuilder;
  readonly nodes: ForwardNode[];
  /** By name of the input. */
  readonly encodings: ReadonlyMap<string, Encoding>;
  /** What a batch statistic of the plain graph is called. */
  renamed(value: string): string;
}

/** Operators of one input that map zero to zero, so that padded channels stay empty. */
const KEEPS_ZERO = new Set([
  'Relu',
  'LeakyRelu',
  'Tanh',
  'HardSwish',
  'Mish',
  'Softsign',
  'Gelu',
  'Elu',
  'Selu',
  'Celu',
  'Identity',
  'Neg',
]);
const ELEMENTWISE_PAIRS = new Set(['Add', 'Sub', 'Mul']);

/**
 * The forward graph of a training step in onnxruntime's blocked layout where its kernels cover the network, in the plain one elsewhere,
 * with a change of layout at the border (reference: ort-formulations, measured).
 *
 * @param plain the same forward graph in the plain layout, with static shapes
 * @returns undefined where no convolution has a blocked form
 */
export function blockedForward(plain: GraphBuilder, nodes: readonly Node[], options: BlockedForwardOptions): BlockedForward | undefined {
  const pass = new BlockedPass(plain, options);
  const units = findUnits({ plain, nodes, ...options });
  if (![...units.values()].some((unit) => unit.conv)) return undefined;
  for (const node of nodes) {
    const unit = units.get(node);
    if (!unit) pass.add(node);
    else if (unit.nodes.at(-1) === node) pass.addUnit(unit);
  }
  pass.finish();
  return pass;
}

class BlockedPass implements BlockedForward {
  readonly builder: GraphBuilder;
  readonly nodes: ForwardNode[] = [];
  readonly encodings = new Map<string, Encoding>();
  private readonly blocked = new Map<string, string>();
  private readonly names = new Map<string, string>();
  /** Blocked values whose zeros and upper bounds come from a rectifier. */
  private readonly rectified = new Set<string>();

  constructor(
    private readonly plain: GraphBuilder,
    private readonly options: BlockedForwardOptions,
  ) {
    this.builder = new GraphBuilder(plain.graph.name, plain.graph.opsets.get(''));
    this.builder.reserve(plain.types.keys());
  }

  renamed(value: string): string {
    return this.names.get(value) ?? value;
  }

  finish(): void {
    this.options.kept.forEach((name) => this.plainValue(name));
    this.plain.graph.inputs.forEach(({ name }) => this.plainValue(name));
  }

  add(node: Node): void {
    if (this.addPool(node) || this.addElementwise(node)) return;
    const plainNode = { ...node, inputs: node.inputs.map((name) => (name ? this.plainValue(name) : name)) };
    const own: ExpandedRules = new Map();
    if (this.options.rules?.has(node)) appendForward(this.builder, plainNode, own);
    else this.builder.append(plainNode);
    this.nodes.push({ ...plainNode, gradient: own.get(plainNode) });
  }

  addUnit(plan: UnitPlan): void {
    const start = plan.nodes[0]?.inputs[0] ?? '';
    if (!plan.conv && !this.blocked.has(start)) {
      plan.nodes.forEach((node) => this.add(node));
      return;
    }
    const x = plan.conv?.sizes.kind === 'image' ? this.plainValue(start) : this.blockedValue(start);
    const name = plan.nodes.at(-1)?.name ?? '';
    const unit = emitUnit(new NamedEmitter(this.builder, name), {
      name,
      x,
      conv: plan.conv && this.convOf(plan.conv),
      norm: plan.norm && this.normOf(plan.norm),
      residual: plan.residual ? this.blockedValue(plan.residual) : '',
      rectifier: plan.rectifier,
    });
    this.nodes.push(unit.node);
    const last = plan.nodes.at(-1)?.outputs[0] ?? '';
    this.blocked.set(last, unit.y);
    if (plan.rectifier) this.rectified.add(last);
    if (plan.norm) this.nameStatistics(plan.norm, unit);
  }

  private nameStatistics(norm: Node, { mean, variance }: EmittedUnit): void {
    if (mean) this.names.set(norm.outputs[1] ?? '', mean);
    if (variance) this.names.set(norm.outputs[2] ?? '', variance);
  }

  private convOf({ node, sizes }: NonNullable<UnitPlan['conv']>) {
    const [, weight = '', bias = ''] = node.inputs;
    this.leaf(weight, (dims) => weightEncoding(dims, sizes));
    return { sizes, weight, bias: bias ? this.vector(bias) : '' };
  }

  private normOf(node: Node) {
    const [, scale = '', bias = ''] = node.inputs;
    const [mean = '', variance = ''] = runningStatistics(this.plain, node);
    this.vector(variance);
    return { scale: this.vector(scale), bias: this.vector(bias), runningMean: this.vector(mean), epsilon: floatOf(node, 'epsilon', 1e-5) };
  }

  private vector(name: string): string {
    return this.leaf(name, (dims) => {
      const channels = dims[0] ?? 1;
      const whole = padded(channels, this.options.block);
      return whole === channels ? undefined : paddedVector(dims, whole);
    });
  }

  /** Declares an input or initializer of the plain graph in encoded form. */
  private leaf(name: string, encodingOf: (dims: readonly number[]) => Encoding | undefined): string {
    if (this.builder.types.has(name)) return name;
    const encoding = encodingOf(this.plain.shape(name));
    const tensor = this.plain.constantOf(name);
    if (tensor) return this.builder.initializer(name, encoding ? encoding.encode(tensor) : tensor);
    if (encoding) this.encodings.set(name, encoding);
    return this.builder.input(name, encoding?.dims ?? this.plain.shape(name), this.plain.type(name));
  }

  private plainValue(name: string): string {
    if (this.builder.types.has(name)) return name;
    const blocked = this.blocked.get(name);
    const maker = this.plain.producer(name);
    if (!blocked && maker) return this.compute(maker, name);
    if (!blocked) return this.leaf(name, () => undefined);
    const channels = this.plain.shape(name)[1] ?? 1;
    this.builder.emitNamed('ReorderOutput', [blocked], { channels }, [name], { domain: 'com.microsoft.nchwc' });
    this.reader('LeaveBlocks', blocked, name, (g, context) => enterBlocks(context, g, this.options.block));
    return name;
  }

  /** A value that no node of the pass makes: a constant of the training form. */
  private compute(maker: Node, name: string): string {
    maker.inputs.forEach((input) => input && this.plainValue(input));
    this.builder.append(maker);
    return name;
  }

  private blockedValue(name: string): string {
    const known = this.blocked.get(name);
    if (known) return known;
    const x = this.plainValue(name);
    const blocked = enterBlocks(this.builder, x, this.options.block);
    const channels = this.plain.shape(name)[1] ?? 1;
    this.reader('EnterBlocks', x, blocked, (g, context) => leaveBlocks(context, g, channels));
    this.blocked.set(name, blocked);
    return blocked;
  }

  /** A node of one input with its own gradient rule, already emitted. */
  private reader(
    op: string,
    x: string,
    y: string,
    rule: (g: string, context: Parameters<NonNullable<ForwardNode['gradient']>>[0]) => string,
  ): void {
    const gradient: ForwardNode['gradient'] = (context) => {
      const g = context.outputGradient(0);
      return g ? [rule(g, context)] : [];
    };
    this.nodes.push({ name: y, op, domain: '', inputs: [x], outputs: [y], attributes: new Map(), gradient });
  }

  private addPool(node: Node): boolean {
    const [name = '', output = ''] = [node.inputs[0], node.outputs[0]];
    const x = this.blocked.get(name);
    if (!x) return false;
    if (node.op === 'GlobalAveragePool') {
      emitGlobalAverage(this.builder, x, output, this.plain.shape(name)[1] ?? 1);
      this.nodes.push({ ...node, inputs: [x], gradient: globalAverageGradient(this.options.block) });
      return true;
    }
    const kernel = node.op === 'MaxPool' || node.op === 'AveragePool' ? tilingKernel(node, this.plain.shape(name)) : undefined;
    if (!kernel || (node.op === 'MaxPool' && !this.rectified.has(name))) return false;
    const y = emitPool(this.builder, node.op, x, kernel);
    const gradient = node.op === 'MaxPool' ? maxPoolGradient(kernel) : averagePoolGradient(kernel);
    this.nodes.push({ ...node, inputs: [x], outputs: [y], gradient });
    this.blocked.set(output, y);
    if (this.rectified.has(name)) this.rectified.add(output);
    return true;
  }

  /** Operators that treat every element alike run on blocked memory as they are; so do concatenations of whole blocks. */
  private addElementwise(node: Node): boolean {
    const output = node.outputs[0] ?? '';
    if (!node.inputs.some((name) => this.blocked.has(name)) || this.plain.shape(output).length !== 4) return false;
    if (!this.isElementwise(node) && !this.isBlockConcat(node)) return false;
    const inputs = node.inputs.map((name, i) => (node.op === 'Clip' && i > 0 ? this.plainValue(name) : this.blockedValue(name)));
    const own: ForwardNode = { ...node, inputs, outputs: [`${output}/blocked`] };
    this.builder.append(own);
    this.nodes.push(own);
    this.blocked.set(output, `${output}/blocked`);
    if (node.op === 'Relu') this.rectified.add(output);
    return true;
  }

  private isElementwise(node: Node): boolean {
    if (KEEPS_ZERO.has(node.op)) return true;
    const same = node.inputs.every((name) => this.plain.shape(name).join() === this.plain.shape(node.outputs[0] ?? '').join());
    return (ELEMENTWISE_PAIRS.has(node.op) && same) || (node.op === 'Clip' && this.clipKeepsZero(node));
  }

  private clipKeepsZero(node: Node): boolean {
    const bound = (i: number, fallback: number): number => {
      const tensor: Tensor | undefined = this.plain.constantOf(node.inputs[i] ?? '');
      if (!tensor && node.inputs[i]) return NaN;
      return tensor ? (numbersOf(tensor)[0] ?? NaN) : fallback;
    };
    return bound(1, -Infinity) <= 0 && bound(2, Infinity) >= 0;
  }

  private isBlockConcat(node: Node): boolean {
    const whole = (name: string): boolean => (this.plain.shape(name)[1] ?? 1) % this.options.block === 0;
    return node.op === 'Concat' && intOf(node, 'axis', 0) === 1 && node.inputs.every(whole);
  }
}
