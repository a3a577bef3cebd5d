import type { Dim, Shape } from '../graph/dims';
import type { Graph, Node, ValueType } from '../graph/graph';
import type { ElementType, Tensor } from '../graph/tensor';
import type { CostTable } from './costTable';

/** Declares that a facet of an operator does not exist, and why; the reason is shown to users. */
export interface Unsupported {
  readonly unsupported: string;
}

export const unsupported = (reason: string): Unsupported => ({ unsupported: reason });

export const isUnsupported = (facet: object | ((...args: never[]) => unknown)): facet is Unsupported => 'unsupported' in facet;

/**
 * Known elements of a small integer value (shape arithmetic). Elements may be symbolic.
 * A scalar has one element and `dims` [].
 */
export interface KnownValue {
  readonly dims: readonly number[];
  readonly elements: readonly Dim[];
}

export interface ShapeContext {
  readonly node: Node;
  readonly opset: number;
  /** Type of input `i`, or undefined when it is absent. */
  input(i: number): ValueType | undefined;
  /** Shape of input `i`; throws SurgeryError 'shape-mismatch' naming the node when absent, undefined when the rank is unknown. */
  shape(i: number): Shape | undefined;
  /** Elements of input `i` when they are known when shapes are inferred (initializers, constants, folded arithmetic). */
  known(i: number): KnownValue | undefined;
  /** Whole tensor of input `i` if it is an initializer or constant. */
  constant(i: number): Tensor | undefined;
  /** Makes output `i` known. */
  setKnown(i: number, value: KnownValue): void;
  /** Infers a subgraph of a control-flow operator and gives its outputs' types. */
  inferSubgraph(graph: Graph): ValueType[];
  fail(reason: string): never;
}

/** Types of all outputs from types of all inputs. `shape` is left out where the rank is unknown. */
export type ShapeRule = (context: ShapeContext) => ValueType[];

/** Emits ordinary ONNX operators (opset 17 forms) and tells the shape of whatever it emits; all shapes are static here. */
export interface Emitter {
  /** Appends a node and returns the names of its outputs; shapes are inferred at once. `options.names` proposes output names. */
  emit(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, AttributeInput>>, options?: EmitOptions): string;
  emitAll(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeInput>>,
    outputs: number,
    options?: EmitOptions,
  ): string[];
  shape(value: string): readonly number[];
  type(value: string): ElementType;
  /** A scalar float32 constant (shared). */
  scalar(value: number): string;
  /** A float32 constant tensor (shared by content). */
  floats(dims: readonly number[], data: ArrayLike<number>): string;
  /** A one-dimensional int64 constant (shared by content), as shape and axes inputs take it. */
  ints(values: readonly number[]): string;
  constant(tensor: Tensor): string;
  /** A float32 constant of zeros (shared by shape). */
  zeros(dims: readonly number[]): string;
  /** The node that makes a value; undefined for inputs and initializers. */
  producer(value: string): Node | undefined;
  /** Elements of a value if it is a constant or initializer that does not train. */
  constantOf(value: string): Tensor | undefined;
  /** Measured costs that formulations are chosen by; built-in rules when left out. */
  readonly costs?: CostTable;
}

export type AttributeInput =
  number | string | readonly number[] | readonly string[] | Tensor | { float: number } | { floats: readonly number[] };

export interface EmitOptions {
  domain?: string;
  name?: string;
}

export interface GradientContext extends Emitter {
  readonly node: Node;
  readonly opset: number;
  /** Name of input or output value; '' when absent. */
  input(i: number): string;
  output(i: number): string;
  /** Gradient arriving at output `i`, or undefined when nothing depends on it. */
  outputGradient(i: number): string | undefined;
  /** What other readers of input `i` have contributed to its gradient so far. */
  accumulated(i: number): string | undefined;
  /** Whether the gradient of input `i` is wanted; rules skip work otherwise. */
  wants(i: number): boolean;
  /** Sums a gradient over broadcast axes down to the shape of input `i`. */
  unbroadcast(gradient: string, i: number): string;
  fail(reason: string): never;
}

/** The gradient that a node contributes to an input; `total` already includes what `accumulated` gave. */
export type InputGradient = string | { readonly total: string } | undefined;

/** Gradients by input position (sparse: leave out or undefined where none). Emits ordinary operators. */
export type GradientRule = (context: GradientContext) => InputGradient[];

/** What an expansion sees of the forward node that it replaces. */
export interface ExpansionContext extends Emitter {
  readonly node: Node;
  /** Name of input value; '' when absent. */
  input(i: number): string;
  /** Emits the operator that makes output `i` of the node, under that output's name. */
  emitOutput(i: number, op: string, inputs: readonly string[], attributes?: Readonly<Record<string, AttributeInput>>): void;
  fail(reason: string): never;
}

/**
 * Writes a node in ordinary operators that keep what its backward pass needs, and gives the gradient rule that uses them. Only
 * nodes that training differentiates are expanded.
 */
export type ExpansionRule = (context: ExpansionContext) => GradientRule;

export interface Expandable {
  readonly expand: ExpansionRule;
}

export const isExpandable = (facet: OpRecord['gradient']): facet is Expandable => 'expand' in facet;

export interface CostContext {
  readonly node: Node;
  /** Static shape of an input or output; symbolic dims are already replaced by the batch asked for. */
  inputShape(i: number): readonly number[];
  outputShape(i: number): readonly number[];
}

/** Multiply-accumulates of one execution (DESIGN 5.1: Conv, Gemm, MatMul and recurrent operators only). */
export type MacRule = (context: CostContext) => number;

/** One axis of an input or output of the node at hand; channels are positions along it. */
export interface AxisRef {
  readonly value: string;
  readonly axis: number;
}

/**
 * How channels (positions along axes) hang together. Whatever axis a rule neither ties nor frees is locked,
 * with the operator as the reason, so silence is always safe.
 */
export interface CouplingContext {
  readonly node: Node;
  readonly opset: number;
  input(i: number): string;
  output(i: number): string;
  inputShape(i: number): readonly number[];
  outputShape(i: number): readonly number[];
  constant(i: number): Tensor | undefined;
  /** Axis along which input `i` has its channels, where that can be told from the operators before. */
  channelAxis(i: number): number | undefined;
  /** Axis `axis` (negative counts from the end) of input or output `i`. */
  in(i: number, axis: number): AxisRef;
  out(i: number, axis: number): AxisRef;
  /** Same positions stay or go together: a[i] with b[map(i)] (identity when left out; a negative map result ties nothing). Sizes must agree without a map. */
  tie(a: AxisRef, b: AxisRef, map?: (i: number) => number): void;
  /** Positions of one axis that stay or go together. */
  tieWithin(a: AxisRef, classOf: (i: number) => number): void;
  /** This axis may lose positions here without harm and without consequences for others (for example the filters of a Conv before its bias). */
  free(a: AxisRef): void;
  lock(a: AxisRef, reason: string): void;
}

export type CouplingRule = (context: CouplingContext) => void;

export interface RewriteContext {
  readonly node: Node;
  readonly opset: number;
  /** Kept positions of an axis of an input or output of this node, or undefined when the axis is whole. */
  keptIn(i: number, axis: number): readonly number[] | undefined;
  keptOut(i: number, axis: number): readonly number[] | undefined;
  /** Shapes before the cut. */
  inputShape(i: number): readonly number[];
  outputShape(i: number): readonly number[];
  constant(i: number): Tensor | undefined;
  setAttribute(name: string, value: AttributeInput): void;
  removeAttribute(name: string): void;
  /** Gives this node alone a constant at input `i` (a shape, split sizes, indices). */
  setConstant(i: number, tensor: Tensor): void;
}

/** What an operator must change in its attributes and constant inputs once channels are gone; initializers tied by the coupling are sliced without it. */
export type RewriteRule = (context: RewriteContext) => void;

/** Minimal view of tfjs-core that lowerings use; the runtime passes the loaded module. */
export type TfjsModule = typeof import('@tensorflow/tfjs-core');

export type TfjsTensor = import('@tensorflow/tfjs-core').Tensor;

/**
 * What a lowering sees of one node. Tensors that it makes and does not return are disposed by the caller.
 * tfjs has three element types: float32 (all floats), int32 (all integers) and bool.
 */
export interface LoweringContext {
  readonly tf: TfjsModule;
  readonly node: Node;
  readonly opset: number;
  /** Whether optional input `i` is given. */
  has(i: number): boolean;
  /** Input `i` with its axes in ONNX's order. */
  input(i: number): TfjsTensor;
  /** Input `i` as [N, ..., C], the order of tfjs's convolutions and pools. Each value is converted at most once. */
  channelsLast(i: number): TfjsTensor;
  /** The orders in which input `i` is at hand without a conversion. */
  forms(i: number): { readonly plain: boolean; readonly channelsLast: boolean };
  /** Shape of input `i` in ONNX's order. */
  shape(i: number): readonly number[];
  /** ONNX's element type of input or output `i`. */
  type(i: number): ElementType;
  outputType(i: number): ElementType;
  /** Elements of an input as numbers (shapes, axes); those of constants are exact beyond 32 bits. */
  numbers(i: number): readonly number[];
  fail(reason: string): never;
}

/** An output in ONNX's order, or with its channel axis (1) last. */
export type TfjsResult = TfjsTensor | { readonly channelsLast: TfjsTensor };

/** Computes a node's outputs with tfjs kernels. */
export type TfjsLowering = (context: LoweringContext) => TfjsResult | readonly TfjsResult[];

/** Everything Scalpel knows of one operator. */
export interface OpRecord {
  readonly op: string;
  readonly domain: string;
  /** First and last opset whose semantics this record implements. */
  readonly opsets: readonly [number, number];
  /** Fewest and most inputs and outputs. */
  readonly inputs: readonly [number, number];
  readonly outputs: readonly [number, number];
  readonly shape: ShapeRule;
  readonly gradient: GradientRule | Expandable | Unsupported;
  /** 'none' when the operator counts no MACs by the rule of DESIGN 5.1. */
  readonly macs: MacRule | 'none';
  readonly coupling: CouplingRule | Unsupported;
  readonly rewrite?: RewriteRule;
  readonly tfjs: TfjsLowering | Unsupported;
}
