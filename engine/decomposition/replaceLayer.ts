import { SurgeryError } from '../graph/errors';
import type { Shape } from '../graph/dims';
import { type Graph, type Node, copyGraph, floatOf } from '../graph/graph';
import { type Tensor, elementCount, float32 } from '../graph/tensor';
import { GraphBuilder } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import type { Block } from './alternatingLeastSquares';
import { findContractionPath } from './contractionPath';
import { emitLayer, emitWeight } from './layerEmitter';
import { MAC, fastestPath, rebuildTime } from './productPlan';
import { alongMode } from './products';
import { balance, type WeightForm } from './weightForm';
import { type ReplaceableLayer, windowOf } from './replaceable';
import { weightNetwork, withBatch } from './tensorNetwork';
import { moduleOf } from './weightNames';

/** Operators of the replacement have their present form from here on. */
export const OLDEST_OPSET = 11;

/**
 * The graph with one dense or recurrent layer's weight replaced by a network of smaller tensors, as ordinary operators. A
 * recurrent layer keeps its node: either its input is projected before it and the node's W becomes the identity, or W is rebuilt
 * once a forward pass; what is estimated to be faster for `rows` rows is written. A hidden-to-hidden matrix is always rebuilt.
 */
export function replaceLayer(graph: Graph, layer: ReplaceableLayer, form: WeightForm, rows: number): Graph {
  const splice = new Splice(graph, layer.node);
  const { builder } = splice;
  const { node } = layer;
  const weights = splice.addWeights(layer.weight, form.weights);
  const x = { value: node.inputs[0] ?? '', shape: splice.shapeOf(node.inputs[0]) };
  const options = { name: layer.name, rows, passes: 'inference' } as const;
  if (layer.kind === 'dense') {
    const product = emitLayer(builder, form, layer, x, weights, options);
    const bias = node.op === 'Gemm' ? scaledBias(splice, node) : '';
    if (bias) splice.finish('Add', [product, bias]);
    else splice.finish('Identity', [product]);
    return splice.apply();
  }
  if (layer.kind === 'convolution') throw new SurgeryError('internal', 'A convolution is replaced by replaceConvolution');
  const [directions = 1, wide = 1] = graph.initializers.get(layer.weight)?.dims ?? [];
  if (layer.operand === 2 || rebuildIsFaster(layer, form, rows)) {
    const matrix = emitWeight(builder, form, layer, weights, layer.name);
    const turned = builder.emit('Transpose', [matrix], { perm: [1, 0] }, { name: `${layer.name}/Transpose` });
    const w = builder.emit('Reshape', [turned, builder.ints([directions, wide, layer.inputs])], {}, { name: `${layer.name}/Reshape` });
    splice.keep({ ...node, inputs: node.inputs.map((name, i) => (i === layer.operand ? w : name)) });
    return splice.apply();
  }
  const projected = emitLayer(builder, form, layer, x, weights, options);
  const square = builder.emit(
    'ConstantOfShape',
    [builder.ints([layer.outputs, layer.outputs])],
    {},
    { name: `${layer.name}/ConstantOfShape` },
  );
  const eye = builder.emit('EyeLike', [square], {}, { name: `${layer.name}/EyeLike` });
  const w = builder.emit('Reshape', [eye, builder.ints([directions, wide, layer.outputs])], {}, { name: `${layer.name}/Reshape` });
  splice.keep({ ...node, inputs: node.inputs.map((name, i) => (i === 0 ? projected : i === 1 ? w : name)) });
  return splice.apply();
}

function rebuildIsFaster({ inputs, outputs }: ReplaceableLayer, form: WeightForm, rows: number): boolean {
  const projecting = fastestPath(withBatch(form.network, rows), 'inference').nanoseconds + MAC * rows * outputs * outputs;
  const whole = weightNetwork(form.network);
  const rebuilding = rebuildTime(whole, findContractionPath(whole).tree) + MAC * rows * outputs * inputs;
  return rebuilding < projecting;
}

function scaledBias(splice: Splice, node: Node): string {
  const bias = node.inputs[2] ?? '';
  const beta = floatOf(node, 'beta', 1);
  if (!bias || beta === 1) return bias;
  return splice.builder.emit('Mul', [bias, splice.builder.scalar(beta)], {}, { name: `${node.name}/Mul` });
}

/**
 * A convolution as a sum of N Tucker-2 blocks: 1x1 to N R_in channels, the window in N groups, 1x1 back, which sums the blocks
 * (N = 1: Tucker-2 of Kim et al. 2016; all ranks 1: depthwise, as CP).
 */
export function replaceConvolution(graph: Graph, layer: ReplaceableLayer, blocks: readonly Block[]): Graph {
  const splice = new Splice(graph, layer.node);
  const { node, inputs, outputs, weight } = layer;
  const window = windowOf(graph, layer);
  const [inRank = 1, outRank = 1] = blocks[0]?.core.dims ?? [];
  const ready = blocks.map((block) => balance(withoutWindowFactor(block)));
  const first = float32([blocks.length * inRank, inputs, ...window.map(() => 1)]);
  const middle = float32([blocks.length * outRank, inRank, ...window]);
  const last = float32([outputs, blocks.length * outRank, ...window.map(() => 1)]);
  const size = elementCount(window);
  ready.forEach(({ core, factors }, n) => {
    for (let r = 0; r < inRank; r++)
      for (let c = 0; c < inputs; c++) first.data[(n * inRank + r) * inputs + c] = factors[0]?.data[c * inRank + r] ?? 0;
    for (let q = 0; q < outRank; q++) {
      for (let m = 0; m < outputs; m++) last.data[m * blocks.length * outRank + n * outRank + q] = factors[1]?.data[m * outRank + q] ?? 0;
      for (let r = 0; r < inRank; r++)
        for (let w = 0; w < size; w++)
          middle.data[((n * outRank + q) * inRank + r) * size + w] = core.data[(r * outRank + q) * size + w] ?? 0;
    }
  });
  const names = splice.addWeights(weight, new Map<string, Tensor>([['reduce', first], ['core', middle], ['expand', last]])); // prettier-ignore
  const name = (key: string): string => names.get(key) ?? '';
  const ones = window.map(() => 1);
  const { builder } = splice;
  const point = { kernel_shape: ones };
  const reduced = builder.emit('Conv', [node.inputs[0] ?? '', name('reduce')], point, { name: `${node.name}/reduce` });
  const attributes = new Map(node.attributes).set('group', { kind: 'int', value: blocks.length });
  const inner = splice.fresh(`${node.name}/core`);
  builder.append({ ...node, name: inner, inputs: [reduced, name('core')], outputs: [inner], attributes, source: undefined });
  splice.finish('Conv', [inner, name('expand'), ...node.inputs.slice(2, 3)], point);
  return splice.apply();
}

/** The window's factor is square and goes into the core: the window stays whole. */
function withoutWindowFactor({ core, factors }: Block): Block {
  const window = factors[2];
  if (!window) return { core, factors };
  const turned = { rows: window.cols, cols: window.rows, data: new Float64Array(window.data.length) };
  for (let i = 0; i < window.rows; i++)
    for (let j = 0; j < window.cols; j++) turned.data[j * window.rows + i] = window.data[i * window.cols + j] as number;
  return { core: alongMode(core, 2, turned), factors: factors.slice(0, 2) };
}

/** New nodes in place of one, under names that the graph does not have yet. */
class Splice {
  readonly builder: GraphBuilder;
  private readonly graph: Graph;
  private readonly known: Set<string>;
  private readonly types: ReturnType<typeof inferShapes>['types'];

  constructor(
    original: Graph,
    private readonly node: Node,
  ) {
    const opset = original.opsets.get('') ?? 1;
    if (opset < OLDEST_OPSET)
      throw new SurgeryError(
        'option-invalid',
        `Layer ${node.name} cannot be decomposed in opset ${opset}; bring the model to opset ${OLDEST_OPSET} or later`,
      );
    this.graph = copyGraph(original);
    this.builder = new GraphBuilder(original.name, opset);
    this.types = inferShapes(original).types;
    this.known = new Set([...this.types.keys(), ...original.initializers.keys(), ...original.nodes.map((n) => n.name)]);
    for (const name of node.inputs) if (name) this.builder.types.set(name, this.types.get(name) ?? { type: 'float32' });
    for (const name of node.inputs) {
      const tensor = original.initializers.get(name);
      if (tensor) this.builder.initializer(name, tensor);
    }
  }

  shapeOf(value = ''): Shape {
    const shape = this.types.get(value)?.shape;
    if (!shape) throw new SurgeryError('shape-mismatch', `Layer ${this.node.name}: the rank of its input ${value} is not known`);
    return shape;
  }

  /** Initializers "weight.core", "weight.factor1", ... by their names in the network. */
  addWeights(weight: string, weights: ReadonlyMap<string, Tensor>): Map<string, string> {
    const stem = moduleOf(this.node, weight);
    return new Map([...weights].map(([key, tensor]) => [key, this.builder.initializer(this.fresh(`${stem}.${key}`), tensor)]));
  }

  fresh(stem: string): string {
    let name = stem;
    for (let i = 1; this.known.has(name); i++) name = `${stem}_${i}`;
    this.known.add(name);
    return name;
  }

  finish(op: string, inputs: readonly string[], attributes: Parameters<GraphBuilder['emitNamed']>[2] = {}): void {
    this.builder.emitNamed(op, inputs, attributes, this.node.outputs.slice(0, 1), { name: this.node.name });
  }

  keep(node: Node): void {
    this.builder.append({ ...node, source: undefined });
  }

  apply(): Graph {
    const { graph } = this;
    const made = this.builder.graph;
    const renamed = this.renameMade(made);
    const rename = (name: string): string => renamed.get(name) ?? name;
    const at = graph.nodes.findIndex((n) => n.name === this.node.name);
    const nodes = made.nodes.map((n) => ({ ...n, name: rename(n.name), inputs: n.inputs.map(rename), outputs: n.outputs.map(rename) }));
    graph.nodes.splice(at, 1, ...nodes);
    for (const [name, tensor] of made.initializers) graph.initializers.set(rename(name), tensor);
    const read = new Set([...graph.nodes.flatMap((n) => n.inputs), ...graph.outputs.map((o) => o.name)]);
    for (const name of this.node.inputs.slice(1)) if (!read.has(name)) this.dropInitializer(name);
    return graph;
  }

  /** Names the builder gave by itself, where the graph has them already. */
  private renameMade(made: Graph): Map<string, string> {
    const own = new Set([...this.node.outputs, this.node.name, ...this.node.inputs]);
    const names = [...made.initializers.keys(), ...made.nodes.flatMap((n) => [n.name, ...n.outputs])];
    const renamed = new Map<string, string>();
    for (const name of new Set(names)) {
      if (own.has(name)) continue;
      if (name.startsWith('const_')) renamed.set(name, this.fresh(`${this.node.name}/${name}`));
    }
    return renamed;
  }

  private dropInitializer(name: string): void {
    if (!this.graph.initializers.delete(name)) return;
    this.graph.inputs = this.graph.inputs.filter((input) => input.name !== name);
  }
}
