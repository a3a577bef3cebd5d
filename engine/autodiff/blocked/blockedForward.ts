import { NamedEmitter } from '../../ops/namedEmitter';
import { type Node, consumersOf, floatOf, intOf } from '../../graph/graph';
import { type Tensor, elementCount, numbersOf } from '../../graph/tensor';
import { GraphBuilder } from '../../ops/graphBuilder';
import { NCHWC } from '../../ops/nchwc';
import { type ExpandedRules, type ForwardNode, appendForward } from '../backward';
import { type Encoding, paddedVector } from '../encoding';
import { channelDots, channelSums, enterBlocks, leaveBlocks, perChannel } from './emit';
import { type UnitPlan, findUnits, isOwnLeaf, isTrainingNorm, runningStatistics } from './findUnits';
import { averagePoolGradient, emitGlobalAverage, emitPool, globalAverageGradient, maxPoolGradient, tilingKernel } from './pools';
import { padded } from './sizes';
import { type EmittedUnit, emitUnit } from './unit';
import { diagonalMask, weightEncoding } from './weightEncoding';

export interface BlockedForwardOptions {
  readonly block: number;
  /** Values that gradients are wanted for. */
  readonly wanted: ReadonlySet<string>;
  /** Values that must be there in plain form. */
  readonly kept: ReadonlySet<string>;
  /** Values whose gradients are asked for, so that they must not be inside of a unit. */
  readonly observed?: ReadonlySet<string>;
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
  /** The value whose gradient stands for that of a value of the plain graph, and the latter from it. */
  gradientName(value: string): string;
  plainGradient(value: string, gradient: string): string;
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
  const pass = new BlockedPass(plain, nodes, options);
  if (!pass.hasConvolutions) return undefined;
  pass.emit(nodes);
  pass.finish();
  return pass;
}

/** The same in parts: nodes that need what the graph computes of earlier ones are emitted later. */
export class BlockedPass implements BlockedForward {
  readonly builder: GraphBuilder;
  readonly nodes: ForwardNode[] = [];
  readonly encodings = new Map<string, Encoding>();
  private readonly units: ReadonlyMap<Node, UnitPlan>;
  private readonly given = new Map<string, string>();
  private readonly blocked = new Map<string, string>();
  private readonly names = new Map<string, string>();
  /** Blocked values that are copies of plain ones. */
  private readonly entered = new Set<string>();
  private readonly readers: ReadonlyMap<string, readonly Node[]>;
  /** Blocked values whose zeros and upper bounds come from a rectifier. */
  private readonly rectified = new Set<string>();

  constructor(
    private readonly plain: GraphBuilder,
    nodes: readonly Node[],
    private readonly options: BlockedForwardOptions,
  ) {
    this.builder = new GraphBuilder(plain.graph.name, plain.graph.opsets.get(''), plain.costs);
    this.builder.reserve(plain.types.keys());
    this.readers = consumersOf(plain.graph);
    const { kept, observed = [] } = options;
    this.units = findUnits({ plain, nodes, ...options, visible: new Set([...kept, ...observed]) });
  }

  renamed(value: string): string {
    return this.names.get(value) ?? value;
  }

  get hasConvolutions(): boolean {
    return [...this.units.values()].some((unit) => unit.conv);
  }

  emit(nodes: readonly Node[]): void {
    for (const node of nodes) {
      const unit = this.units.get(node);
      if (!unit) this.add(node);
      else if (unit.nodes.at(-1) === node) this.addUnit(unit);
    }
  }

  /** Says which value of the new graph a declared one of the plain graph is. */
  give(name: string, value: string): void {
    this.given.set(name, value);
  }

  gradientName(value: string): string {
    return this.entered.has(value) ? value : (this.blocked.get(value) ?? value);
  }

  plainGradient(value: string, gradient: string): string {
    return this.gradientName(value) === value ? gradient : leaveBlocks(this.builder, gradient, this.plain.shape(value)[1] ?? 1);
  }

  finish(): void {
    this.options.kept.forEach((name) => this.plainValue(name));
    this.plain.graph.inputs.forEach(({ name }) => this.plainValue(name));
  }

  private add(node: Node): void {
    if (this.addPool(node) || this.addPerChannel(node) || this.addElementwise(node)) return;
    const plainNode = { ...node, inputs: node.inputs.map((name) => (name ? this.plainValue(name) : name)) };
    const own: ExpandedRules = new Map();
    if (this.options.rules?.has(node)) appendForward(this.builder, plainNode, own);
    else this.builder.append(plainNode);
    this.nodes.push({ ...plainNode, gradient: own.get(plainNode) });
  }

  private addUnit(plan: UnitPlan): void {
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

  /** Batch statistics under the plain graph's names; without their padding where the running ones have none. */
  private nameStatistics(norm: Node, { mean, variance }: EmittedUnit): void {
    const running = runningStatistics(this.plain, norm);
    [mean, variance].forEach((value, i) => {
      const name = norm.outputs[i + 1];
      if (!value || !name) return;
      const [whole, wanted] = [this.builder.shape(value)[0] ?? 1, this.builder.shape(running[i] ?? '')[0] ?? 1];
      const { builder } = this;
      const cut = (): string => builder.emit('Slice', [value, builder.ints([0]), builder.ints([wanted]), builder.ints([0])]);
      this.names.set(name, whole === wanted ? value : cut());
    });
  }

  private convOf({ node, sizes }: NonNullable<UnitPlan['conv']>) {
    const [, weight = '', bias = ''] = node.inputs;
    this.leaf(weight, (dims) => weightEncoding(dims, sizes));
    const mask = sizes.merged > 1 ? diagonalMask(sizes, this.plain.shape(weight)) : undefined;
    return { sizes, weight, bias: bias ? this.vector(bias) : '', mask };
  }

  private normOf(node: Node) {
    const [, scale = '', bias = ''] = node.inputs;
    const [mean = '', variance = ''] = runningStatistics(this.plain, node);
    const fixedVariance = this.vector(variance);
    return {
      ...{ scale: this.vector(scale), bias: this.vector(bias), runningMean: this.vector(mean), epsilon: floatOf(node, 'epsilon', 1e-5) },
      ...(isTrainingNorm(node) ? {} : { fixedVariance }),
    };
  }

  /** A vector of channels [C] with zeros up to whole blocks: in another form where it is a leaf of its own, else by an operator. */
  private vector(name: string): string {
    // A running statistic is read by the norm through a scaled copy of its own.
    if (isOwnLeaf(this.plain, this.readers, name))
      return this.leaf(name, (dims) => {
        const channels = dims[0] ?? 1;
        const whole = padded(channels, this.options.block);
        return whole === channels ? undefined : paddedVector(dims, whole);
      });
    return this.wholeVector(this.plainValue(name));
  }

  private wholeVector(name: string): string {
    const count = elementCount(this.builder.shape(name));
    const missing = padded(count, this.options.block) - count;
    const flat = this.builder.shape(name).length === 1 ? name : this.step('Reshape', [name, this.builder.ints([count])], `${name}/vector`);
    return missing === 0 ? flat : this.step('Concat', [flat, this.builder.zeros([missing])], `${name}/whole`, 0);
  }

  /** A plain node that gradients go through, once. */
  private step(op: string, inputs: readonly string[], output: string, axis?: number): string {
    if (this.builder.types.has(output)) return output;
    this.builder.emitNamed(op, inputs, axis === undefined ? {} : { axis }, [output]);
    this.nodes.push(this.builder.graph.nodes.at(-1) as Node);
    return output;
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

  plainValue(name: string): string {
    const given = this.given.get(name);
    if (given !== undefined) return given;
    if (this.builder.types.has(name)) return name;
    const blocked = this.blocked.get(name);
    const maker = this.plain.producer(name);
    if (!blocked && maker) return this.compute(maker, name);
    if (!blocked) return this.leaf(name, () => undefined);
    const channels = this.plain.shape(name)[1] ?? 1;
    this.builder.emitNamed('ReorderOutput', [blocked], { channels }, [name], { domain: NCHWC, name: `${name}/plain` });
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
    this.entered.add(name);
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

  /** Product or sum of a blocked value and a number for each channel [C, 1, 1]: one depthwise convolution. */
  private addPerChannel(node: Node): boolean {
    const output = node.outputs[0] ?? '';
    const x = node.inputs.find((name) => this.blocked.has(name));
    const other = node.inputs.find((name) => name !== x);
    if (x === undefined || other === undefined || (node.op !== 'Mul' && node.op !== 'Add')) return false;
    const [shape, dims] = [this.plain.shape(output), this.plain.shape(other)];
    const channels = shape[1] ?? 1;
    const isVector = dims.length >= 3 && dims.at(-3) === channels && elementCount(dims) === channels;
    if (shape.join() !== this.plain.shape(x).join() || shape.length !== 4 || !isVector) return false;
    const [value, vector] = [this.blocked.get(x) ?? '', this.wholeVector(this.plainValue(other))];
    const isProduct = node.op === 'Mul';
    const whole = padded(channels, this.options.block);
    const ones = (): string => this.builder.floats([whole], new Float32Array(whole).fill(1));
    const y = isProduct ? perChannel(this.builder, value, vector) : perChannel(this.builder, value, ones(), vector);
    const gradient: ForwardNode['gradient'] = (context) => {
      const g = context.outputGradient(0);
      if (!g) return [];
      const positions = elementCount(context.shape(g).slice(2));
      const sums = (): string => context.emit('Mul', [channelSums(context, g), context.scalar(positions)]);
      return [
        isProduct && context.wants(0) ? perChannel(context, g, vector) : g,
        context.wants(1) ? (isProduct ? channelDots(context, value, g) : sums()) : undefined,
      ];
    };
    this.nodes.push({ ...node, inputs: [value, vector], outputs: [y], gradient });
    this.blocked.set(output, y);
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
