import { intOf, stringOf } from '../graph/graph';
import { numbersOf } from '../graph/tensor';
import type { Emitter, ExpansionContext, ExpansionRule, GradientContext } from './opRecord';
import { type Advance, type Cell, type CellStep, type StepGradient, add, mul } from './recurrentCells';

/** Sizes of a recurrent node: T steps, N samples, F features, H hidden units, D directions. */
interface Sizes {
  readonly steps: number;
  readonly batch: number;
  readonly features: number;
  readonly hidden: number;
  readonly directions: number;
  readonly batchFirst: boolean;
}

/** Where a sequence goes on, [N, 1]: ones and zeros, and the reverse; by step. */
interface Mask {
  readonly on: string;
  readonly off: string;
}

interface Step {
  readonly cell: CellStep;
  readonly mask?: Mask;
  /** State that the step leaves; with a mask the state before it where the sequence has ended. */
  readonly h: string;
  readonly c?: string;
  /** Part of Y, [N, H]; zero where the sequence has ended. */
  readonly y: string;
}

/** One direction of the forward pass. Arrays are by time. */
interface Direction {
  /** W [G H, F]; undefined where it is the identity. */
  readonly weight?: string;
  readonly steps: readonly Step[];
  /** Times in the order of the recurrence. */
  readonly order: readonly number[];
}

/**
 * LSTM, GRU and RNN unrolled into ordinary operators (reference: ONNX operators LSTM-14, GRU-14, RNN-14). All steps' inputs are
 * projected by one product; a step is one product with fused gates; the gradients of W, R and B are one product or sum over the
 * joined steps. A sequence that has ended keeps its state, so a reversed direction starts at each sequence's own end.
 */
export function expandRecurrent(cellOf: (context: ExpansionContext, direction: number) => Cell): ExpansionRule {
  return (context) => {
    const sizes = sizesOf(context);
    const x = flatInput(context, sizes);
    const masks = stepMasks(context, sizes);
    const cells = Array.from({ length: sizes.directions }, (_, d) => cellOf(context, d));
    const initial = [5, 6].map((i) => stateByDirection(context, context.input(i), sizes));
    const parts = [1, 2, 3].map((i) => byDirection(context, context.input(i)));
    const own = hasIdentity(context, sizes) ? split(context, x, 1, sizes.directions) : undefined;
    const directions = cells.map((cell, d) => {
      const [w = '', r = '', b] = parts.map((list) => list?.[d]);
      const [h, c] = initial.map((list) => list?.[d]);
      return {
        ...unroll(context, cell, sizes, { x: own?.[d] ?? x, w: own ? undefined : w, r, b, h, c, masks, reverse: isReverse(context, d) }),
        recurrentWeight: r,
      };
    });
    emitOutputs(context, sizes, directions);
    return (g) => gradients(g, sizes, cells, directions, x, initial);
  };
}

function sizesOf(context: ExpansionContext): Sizes {
  const batchFirst = intOf(context.node, 'layout', 0) === 1;
  const [a = 0, b = 0, features = 0] = context.shape(context.input(0));
  const [directions = 1, , hidden = 0] = context.shape(context.input(2));
  return { steps: batchFirst ? b : a, batch: batchFirst ? a : b, features, hidden, directions, batchFirst };
}

/**
 * Whether the input weights of all directions, one below the other, are the identity: then other operators have projected the
 * input (a block-term layer in front of the node).
 */
function hasIdentity(context: ExpansionContext, { features, directions }: Sizes): boolean {
  const reshape = context.producer(context.input(1));
  const maker = reshape?.op === 'Reshape' ? context.producer(reshape.inputs[0] ?? '') : reshape;
  const rows = context.shape(context.input(1))[1] ?? 0;
  return maker?.op === 'EyeLike' && intOf(maker, 'k', 0) === 0 && rows * directions === features;
}

const isReverse = ({ node }: ExpansionContext, d: number): boolean => d === 1 || stringOf(node, 'direction', 'forward') === 'reverse';

/** X as [T N, F]. */
function flatInput(context: ExpansionContext, { steps, batch, features, batchFirst }: Sizes): string {
  const x = batchFirst ? context.emit('Transpose', [context.input(0)], { perm: [1, 0, 2] }) : context.input(0);
  return context.emit('Reshape', [x, context.ints([steps * batch, features])]);
}

/** The parts of a tensor [D, ...], each without its first axis; undefined for an absent one. */
function byDirection(e: Emitter, value: string): string[] | undefined {
  if (!value) return undefined;
  const [directions = 1, ...rest] = e.shape(value);
  const parts = directions === 1 ? [value] : e.emitAll('Split', [value], { axis: 0 }, directions);
  return parts.map((part) => e.emit('Reshape', [part, e.ints(rest)]));
}

/** Initial or final states, [D, N, H] or with the batch first, as [N, H] by direction. */
const stateByDirection = (e: Emitter, value: string, { batchFirst }: Sizes): string[] | undefined =>
  byDirection(e, value && batchFirst ? e.emit('Transpose', [value], { perm: [1, 0, 2] }) : value);

/** Masks by time, or undefined where every sequence has all steps. */
function stepMasks(context: ExpansionContext, { steps, batch }: Sizes): Mask[] | undefined {
  const lengths = context.input(4);
  const constant = context.constantOf(lengths);
  if (!lengths || (constant && numbersOf(constant).every((n) => n === steps))) return undefined;
  const column = context.emit('Reshape', [context.emit('Cast', [lengths], { to: 1 }), context.ints([batch, 1])]);
  const times = context.floats(
    [steps],
    Array.from({ length: steps }, (_, t) => t),
  );
  const on = context.emit('Cast', [context.emit('Less', [times, column])], { to: 1 });
  const off = context.emit('Sub', [context.scalar(1), on]);
  const [ons, offs] = [on, off].map((mask) => split(context, mask, 1, steps)) as [string[], string[]];
  return ons.map((m, t) => ({ on: m, off: offs[t] as string }));
}

const split = (e: Emitter, value: string, axis: number, parts: number): string[] =>
  parts === 1 ? [value] : e.emitAll('Split', [value], { axis }, parts);

interface DirectionInputs {
  readonly x: string;
  readonly w?: string;
  readonly r: string;
  readonly b?: string;
  readonly h?: string;
  readonly c?: string;
  readonly masks?: readonly Mask[];
  readonly reverse: boolean;
}

function unroll(e: Emitter, cell: Cell, { steps, batch, hidden }: Sizes, inputs: DirectionInputs): Direction {
  const { input, recurrent } = biases(e, cell, inputs.b, hidden);
  const projected = project(e, inputs, input);
  const xs = split(e, projected, 0, steps);
  const advance = cell.start(e, { r: inputs.r, bias: recurrent, hidden, batch });
  const order = Array.from({ length: steps }, (_, i) => (inputs.reverse ? steps - 1 - i : i));
  const zero = (): string => e.floats([batch, hidden], new Float32Array(batch * hidden));
  let h = inputs.h ?? (inputs.masks ? zero() : undefined);
  let c = inputs.c ?? (inputs.masks ? zero() : undefined);
  const done: Step[] = [];
  for (const t of order) {
    const step = maskedStep(e, advance, xs[t] as string, h, c, inputs.masks?.[t]);
    done[t] = step;
    [h, c] = [step.h, step.c];
  }
  return { weight: inputs.w, steps: done, order };
}

function project(e: Emitter, { x, w }: DirectionInputs, bias: string | undefined): string {
  if (w === undefined) return bias ? add(e, x, bias) : x;
  return e.emit('Gemm', bias ? [x, w, bias] : [x, w], { transB: 1 });
}

/** Bias of the input product and, where the cell keeps it apart, of the recurrent one; [G H] from [2 G H]. */
function biases(e: Emitter, cell: Cell, b: string | undefined, hidden: number): { input?: string; recurrent?: string } {
  if (!b) return {};
  const halves = e.emit('Reshape', [b, e.ints([2, cell.gates * hidden])]);
  if (!cell.ownBias) return { input: e.emit('ReduceSum', [halves, e.ints([0])], { keepdims: 0 }) };
  const [input, recurrent] = byDirection(e, halves) ?? [];
  return { input, recurrent };
}

function maskedStep(e: Emitter, advance: Advance, x: string, h?: string, c?: string, mask?: Mask): Step {
  const cell = advance(x, h, c);
  if (!mask) return { cell, h: cell.h, c: cell.c, y: cell.h };
  const y = mul(e, cell.h, mask.on);
  const keep = (fresh: string, before: string | undefined): string => (before ? add(e, fresh, mul(e, before, mask.off)) : fresh);
  return { cell, mask, y, h: keep(y, h), c: cell.c && keep(mul(e, cell.c, mask.on), c) };
}

function emitOutputs(context: ExpansionContext, sizes: Sizes, directions: readonly Direction[]): void {
  const { steps, batch, hidden, batchFirst } = sizes;
  const [y, h, c] = context.node.outputs;
  const finish = (i: number, parts: readonly string[], dims: readonly number[], axis: number, perm: readonly number[]): void => {
    if (parts.length === 1 && !batchFirst) return context.emitOutput(i, 'Reshape', [parts[0] as string, context.ints(dims)]);
    const shaped = parts.map((part) => context.emit('Reshape', [part, context.ints(dims)]));
    if (!batchFirst) return context.emitOutput(i, 'Concat', shaped, { axis });
    context.emitOutput(i, 'Transpose', [shaped.length === 1 ? (shaped[0] as string) : context.emit('Concat', shaped, { axis })], { perm });
  };
  const last = (key: 'h' | 'c'): string[] => directions.map((d) => d.steps[d.order.at(-1) ?? 0]?.[key] ?? '');
  if (y) {
    const all = directions.map((d) =>
      context.emit(
        'Concat',
        d.steps.map((s) => s.y),
        { axis: 0 },
      ),
    );
    finish(0, all, [steps, 1, batch, hidden], 1, [2, 0, 1, 3]);
  }
  if (h) finish(1, last('h'), [1, batch, hidden], 0, [1, 0, 2]);
  if (c) finish(2, last('c'), [1, batch, hidden], 0, [1, 0, 2]);
}

/** What the backward pass of one direction leaves: gradients by time, and of the initial states. */
interface Unwound {
  readonly steps: readonly StepGradient[];
  readonly h?: string;
  readonly c?: string;
}

function gradients(
  g: GradientContext,
  sizes: Sizes,
  cells: readonly Cell[],
  directions: readonly (Direction & { recurrentWeight: string })[],
  x: string,
  initial: readonly (readonly string[] | undefined)[],
): (string | undefined)[] {
  const arriving = {
    y: outputByDirection(g, sizes),
    h: stateByDirection(g, g.outputGradient(1) ?? '', sizes),
    c: stateByDirection(g, g.outputGradient(2) ?? '', sizes),
  };
  const wantsState = g.wants(5) || g.wants(6);
  const unwound = directions.map((direction, d) =>
    unwind(g, direction, cells[d] as Cell, sizes, { y: arriving.y?.[d], h: arriving.h?.[d], c: arriving.c?.[d] }, wantsState),
  );
  const dx = unwound.map(({ steps }) =>
    joinSteps(
      g,
      steps.map((s) => s.x),
    ),
  );
  const stack = (parts: readonly string[]): string => {
    const shaped = parts.map((part) => g.emit('Reshape', [part, g.ints([1, ...g.shape(part)])]));
    return shaped.length === 1 ? (shaped[0] as string) : g.emit('Concat', shaped, { axis: 0 });
  };
  const state = (i: 5 | 6, key: 'h' | 'c'): string | undefined => {
    const parts = unwound.map((u) => u[key] ?? '');
    if (!g.wants(i) || !initial[i - 5] || parts.includes('')) return undefined;
    return sizes.batchFirst ? g.emit('Transpose', [stack(parts)], { perm: [1, 0, 2] }) : stack(parts);
  };
  return [
    g.wants(0) ? inputGradient(g, sizes, directions, dx) : undefined,
    g.wants(1) ? stack(dx.map((d) => g.emit('Gemm', [d, x], { transA: 1 }))) : undefined,
    g.wants(2) ? stack(directions.map((d, i) => recurrentGradient(g, cells[i] as Cell, sizes, d, unwound[i] as Unwound))) : undefined,
    g.wants(3) ? stack(unwound.map((u, i) => biasGradient(g, cells[i] as Cell, dx[i] as string, u))) : undefined,
    undefined,
    state(5, 'h'),
    state(6, 'c'),
  ];
}

/** Gradient of Y as [N, H] by direction and time. */
function outputByDirection(g: GradientContext, sizes: Sizes): string[][] | undefined {
  const arriving = g.outputGradient(0);
  if (!arriving) return undefined;
  const { steps, batch, hidden, directions } = sizes;
  const ordered = sizes.batchFirst ? g.emit('Transpose', [arriving], { perm: [1, 2, 0, 3] }) : arriving;
  const parts = split(g, ordered, 1, directions);
  return parts.map((part) => split(g, g.emit('Reshape', [part, g.ints([steps * batch, hidden])]), 0, steps));
}

/** Backpropagation through time over one direction. */
function unwind(
  g: GradientContext,
  { steps, order }: Direction,
  cell: Cell,
  { batch, hidden }: Sizes,
  arriving: { readonly y?: readonly string[]; readonly h?: string; readonly c?: string },
  wantsState: boolean,
): Unwound {
  let [dh, dc] = [arriving.h, arriving.c];
  const sum = (a: string | undefined, b: string | undefined): string | undefined => (a && b ? add(g, a, b) : (a ?? b));
  const masked = (value: string | undefined, mask: string | undefined): string | undefined => (value && mask ? mul(g, value, mask) : value);
  const found: StepGradient[] = [];
  [...order].reverse().forEach((t, i) => {
    const { cell: done, mask } = steps[t] as Step;
    const previous = i < order.length - 1 || wantsState;
    const [intoH, intoC] = [masked(sum(dh, arriving.y?.[t]), mask?.on), masked(dc, mask?.on)];
    if (!intoH && !intoC) {
      const nothing = g.floats([batch, cell.gates * hidden], new Float32Array(batch * cell.gates * hidden));
      found[t] = { x: nothing, recurrent: nothing };
      return;
    }
    const step = done.backward(g, intoH, intoC, previous);
    found[t] = step;
    dh = mask ? sum(step.h, masked(dh, mask.off)) : step.h;
    dc = mask ? sum(step.c, masked(dc, mask.off)) : step.c;
  });
  return { steps: found, h: dh, c: dc };
}

const joinSteps = (g: GradientContext, parts: readonly string[]): string =>
  parts.length === 1 ? (parts[0] as string) : g.emit('Concat', parts, { axis: 0 });

/** Sum over the directions of dX W, in the shape of X; side by side where W is the identity. */
function inputGradient(g: GradientContext, sizes: Sizes, directions: readonly Direction[], dx: readonly string[]): string {
  const { steps, batch, features, batchFirst } = sizes;
  const flat = directions.some((d) => d.weight === undefined) ? g.emit('Concat', dx, { axis: 1 }) : weighted(g, directions, dx);
  const shaped = g.emit('Reshape', [flat, g.ints([steps, batch, features])]);
  return batchFirst ? g.emit('Transpose', [shaped], { perm: [1, 0, 2] }) : shaped;
}

function weighted(g: GradientContext, directions: readonly Direction[], dx: readonly string[]): string {
  return directions.reduce((total, { weight = '' }, d) => {
    const operands = [dx[d] as string, weight];
    return g.emit('Gemm', total ? [...operands, total] : operands);
  }, '');
}

/** [G H, H]: the gradients of all steps, transposed, times what the rows of R were multiplied with. */
function recurrentGradient(g: GradientContext, cell: Cell, { hidden }: Sizes, direction: Direction, unwound: Unwound): string {
  const all = joinSteps(
    g,
    unwound.steps.map((s) => s.recurrent),
  );
  const sizes = cell.rowGates.map((gates) => gates * hidden);
  const parts = sizes.length === 1 ? [all] : g.emitAll('Split', [all, g.ints(sizes)], { axis: 1 }, sizes.length);
  const rows = parts.map((part, k) =>
    g.emit(
      'Gemm',
      [
        part,
        joinSteps(
          g,
          direction.steps.map((s) => s.cell.operands[k] as string),
        ),
      ],
      { transA: 1 },
    ),
  );
  return rows.length === 1 ? (rows[0] as string) : g.emit('Concat', rows, { axis: 0 });
}

/** [2 G H]. */
function biasGradient(g: GradientContext, cell: Cell, dx: string, unwound: Unwound): string {
  const sum = (value: string): string => g.emit('ReduceSum', [value, g.ints([0])], { keepdims: 0 });
  const input = sum(dx);
  const recurrent = cell.ownBias
    ? sum(
        joinSteps(
          g,
          unwound.steps.map((s) => s.recurrent),
        ),
      )
    : input;
  return g.emit('Concat', [input, recurrent], { axis: 0 });
}
