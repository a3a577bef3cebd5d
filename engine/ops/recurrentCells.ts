import { float32 } from '../graph/tensor';
import type { Emitter } from './opRecord';

/** Weights of one direction, the same for all its steps. */
export interface CellWeights {
  /** R [G H, H], and its bias [G H] where the cell keeps it apart from the input's. */
  readonly r: string;
  readonly bias?: string;
  readonly hidden: number;
  readonly batch: number;
}

/** Gradients that one step gives. */
export interface StepGradient {
  /** Of the projected input and of the recurrent product, [N, G H]. */
  readonly x: string;
  readonly recurrent: string;
  /** Of the state before the step, [N, H]; left out where nobody asks. */
  readonly h?: string;
  readonly c?: string;
}

export interface CellStep {
  /** New state, [N, H]. */
  readonly h: string;
  readonly c?: string;
  /** What the rows of R were multiplied with, [N, H], by `Cell.rowGates`. */
  readonly operands: readonly string[];
  /** @param previous whether the state before the step needs a gradient */
  backward(e: Emitter, dh: string | undefined, dc: string | undefined, previous: boolean): StepGradient;
}

/** Advances one step: x [N, G H] is the input times W with its bias; an absent state is zero. */
export type Advance = (x: string, h?: string, c?: string) => CellStep;

/** The arithmetic of one step, in ordinary operators. */
export interface Cell {
  readonly gates: number;
  /** Numbers of gates whose rows of R share an operand; they add up to `gates`. */
  readonly rowGates: readonly number[];
  /** Whether the bias of R stays apart from that of W. */
  readonly ownBias: boolean;
  start(e: Emitter, weights: CellWeights): Advance;
}

export const mul = (e: Emitter, a: string, b: string): string => e.emit('Mul', [a, b]);
export const add = (e: Emitter, a: string, b: string): string => e.emit('Add', [a, b]);
const sub = (e: Emitter, a: string, b: string): string => e.emit('Sub', [a, b]);
/** d (1 - y^2): the gradient through y = tanh. */
const throughTanh = (e: Emitter, d: string, y: string): string => sub(e, d, mul(e, d, mul(e, y, y)));
/** d y (1 - y): the gradient through y = sigmoid. */
function throughSigmoid(e: Emitter, d: string, y: string): string {
  const u = mul(e, d, y);
  return sub(e, u, mul(e, u, y));
}
const columns = (e: Emitter, x: string, sizes: readonly number[]): string[] =>
  e.emitAll('Split', [x, e.ints(sizes)], { axis: 1 }, sizes.length);
const join = (e: Emitter, ...parts: string[]): string => e.emit('Concat', parts, { axis: 1 });
/** a b^T (+ c), and a b (+ c). */
const timesTransposed = (e: Emitter, a: string, b: string, c?: string): string => e.emit('Gemm', c ? [a, b, c] : [a, b], { transB: 1 });
const times = (e: Emitter, a: string, b: string, c?: string): string => e.emit('Gemm', c ? [a, b, c] : [a, b]);
const zeros = (e: Emitter, { batch, hidden }: CellWeights): string => e.constant(float32([batch, hidden]));

/**
 * Gates in ONNX's order i, o, f, c, so that one Sigmoid serves the first three.
 * c' = f c + i g, h' = o tanh(c'); o (1 - tanh^2) is had without another tanh, as dh o - (dh h') tanh(c').
 */
export const lstmCell: Cell = {
  gates: 4,
  rowGates: [4],
  ownBias: false,
  start(e, weights) {
    const { r, hidden } = weights;
    return (x, h, c) => {
      const z = h === undefined ? x : timesTransposed(e, h, r, x);
      const [zs = '', zg = ''] = columns(e, z, [3 * hidden, hidden]);
      const [s, g] = [e.emit('Sigmoid', [zs]), e.emit('Tanh', [zg])];
      const [i = '', o = '', f = ''] = columns(e, s, [hidden, hidden, hidden]);
      const fresh = mul(e, i, g);
      const cell = c === undefined ? fresh : add(e, mul(e, f, c), fresh);
      const t = e.emit('Tanh', [cell]);
      const out = mul(e, o, t);
      return {
        h: out,
        c: cell,
        operands: [h ?? zeros(e, weights)],
        backward(b, dh = zeros(b, weights), dc, previous) {
          const through = sub(b, mul(b, dh, o), mul(b, mul(b, dh, out), t));
          const d = dc === undefined ? through : add(b, through, dc);
          const ds = join(b, mul(b, d, g), mul(b, dh, t), c === undefined ? zeros(b, weights) : mul(b, d, c));
          const dz = join(b, throughSigmoid(b, ds, s), throughTanh(b, mul(b, d, i), g));
          return { x: dz, recurrent: dz, ...(previous ? { h: times(b, dz, r), c: mul(b, d, f) } : {}) };
        },
      };
    };
  },
};

/** What both forms of the GRU share once z, n and h are there: h' = n + z (h - n). */
function mix(e: Emitter, z: string, n: string, h: string): { h: string; difference: string } {
  const difference = sub(e, h, n);
  return { h: add(e, n, mul(e, z, difference)), difference };
}

/** linear_before_reset 1 (PyTorch, cuDNN): n = tanh(x_n + r (h R_n + b_n)); gates z, r, n. */
const gruLinearFirst: Cell = {
  gates: 3,
  rowGates: [3],
  ownBias: true,
  start(e, weights) {
    const { r: matrix, bias, hidden } = weights;
    const parts = [2 * hidden, hidden];
    return (x, before) => {
      const h = before ?? zeros(e, weights);
      const [xzr = '', xn = ''] = columns(e, x, parts);
      const [hzr = '', hn = ''] = columns(e, timesTransposed(e, h, matrix, bias), parts);
      const zr = e.emit('Sigmoid', [add(e, xzr, hzr)]);
      const [z = '', r = ''] = columns(e, zr, [hidden, hidden]);
      const n = e.emit('Tanh', [add(e, xn, mul(e, r, hn))]);
      const mixed = mix(e, z, n, h);
      return {
        h: mixed.h,
        operands: [h],
        backward(b, dh = zeros(b, weights), _dc, previous) {
          const kept = mul(b, dh, z);
          const dn = throughTanh(b, sub(b, dh, kept), n);
          const dzr = throughSigmoid(b, join(b, mul(b, dh, mixed.difference), mul(b, dn, hn)), zr);
          const recurrent = join(b, dzr, mul(b, dn, r));
          return { x: join(b, dzr, dn), recurrent, ...(previous ? { h: times(b, recurrent, matrix, kept) } : {}) };
        },
      };
    };
  },
};

/** linear_before_reset 0 (the paper's): n = tanh(x_n + (r h) R_n); gates z, r, n. */
const gruResetFirst: Cell = {
  gates: 3,
  rowGates: [2, 1],
  ownBias: false,
  start(e, weights) {
    const { r: matrix, hidden } = weights;
    const parts = [2 * hidden, hidden];
    const [gateRows = '', newRows = ''] = e.emitAll('Split', [matrix, e.ints(parts)], { axis: 0 }, 2);
    return (x, before) => {
      const h = before ?? zeros(e, weights);
      const [xzr = '', xn = ''] = columns(e, x, parts);
      const zr = e.emit('Sigmoid', [timesTransposed(e, h, gateRows, xzr)]);
      const [z = '', r = ''] = columns(e, zr, [hidden, hidden]);
      const reset = mul(e, r, h);
      const n = e.emit('Tanh', [timesTransposed(e, reset, newRows, xn)]);
      const mixed = mix(e, z, n, h);
      return {
        h: mixed.h,
        operands: [h, reset],
        backward(b, dh = zeros(b, weights), _dc, previous) {
          const kept = mul(b, dh, z);
          const dn = throughTanh(b, sub(b, dh, kept), n);
          const dReset = times(b, dn, newRows);
          const dzr = throughSigmoid(b, join(b, mul(b, dh, mixed.difference), mul(b, dReset, h)), zr);
          const dx = join(b, dzr, dn);
          const past = (): string => times(b, dzr, gateRows, add(b, kept, mul(b, dReset, r)));
          return { x: dx, recurrent: dx, ...(previous ? { h: past() } : {}) };
        },
      };
    };
  },
};

export const gruCell = (linearBeforeReset: boolean): Cell => (linearBeforeReset ? gruLinearFirst : gruResetFirst);

export type RnnActivation = 'Tanh' | 'Relu' | 'Sigmoid';

const THROUGH: Readonly<Record<RnnActivation, (e: Emitter, d: string, y: string) => string>> = {
  Tanh: throughTanh,
  Sigmoid: throughSigmoid,
  Relu: (e, d, y) => mul(e, d, e.emit('HardSigmoid', [y], { alpha: { float: 1e30 }, beta: { float: 0 } })),
};

/** h' = f(x + h R). */
export const rnnCell = (activation: RnnActivation): Cell => ({
  gates: 1,
  rowGates: [1],
  ownBias: false,
  start(e, weights) {
    return (x, h) => {
      const out = e.emit(activation, [h === undefined ? x : timesTransposed(e, h, weights.r, x)]);
      return {
        h: out,
        operands: [h ?? zeros(e, weights)],
        backward(b, dh = zeros(b, weights), _dc, previous) {
          const dz = THROUGH[activation](b, dh, out);
          return { x: dz, recurrent: dz, ...(previous ? { h: times(b, dz, weights.r) } : {}) };
        },
      };
    };
  },
});
