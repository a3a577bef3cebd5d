/**
 * Dimensions that may be symbolic. A number is known; a string is a symbol ("N") or an expression over symbols ("N*49");
 * '?' alone is wholly unknown and equals nothing, not even itself.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

export const UNKNOWN: Dim = '?';

export const isKnown = (dim: Dim): dim is number => typeof dim === 'number';

export const sameDim = (a: Dim, b: Dim): boolean => a !== UNKNOWN && a === b;

export const isStatic = (shape: Shape): shape is readonly number[] => shape.every(isKnown);

/** Sum of dimensions; symbolic unless all are numbers. */
export function addDims(...dims: Dim[]): Dim {
  if (dims.includes(UNKNOWN)) return UNKNOWN;
  const constant = dims.filter(isKnown).reduce((a, b) => a + b, 0);
  const symbols = dims.filter((d) => !isKnown(d)).sort();
  if (symbols.length === 0) return constant;
  const text = symbols.join('+') + (constant > 0 ? `+${constant}` : constant < 0 ? `${constant}` : '');
  return text.includes('+') || constant < 0 ? `(${text})` : text;
}

/** Product of dimensions, in the canonical form "4*N*T". */
export function mulDims(...dims: Dim[]): Dim {
  const factors = dims.flatMap((d) => (typeof d === 'string' && !d.startsWith('(') ? d.split('*').map(toDim) : [d]));
  const constant = factors.filter(isKnown).reduce((a, b) => a * b, 1);
  if (constant === 0) return 0;
  if (factors.includes(UNKNOWN)) return UNKNOWN;
  const symbols = factors.filter((d): d is string => !isKnown(d)).sort();
  if (symbols.length === 0) return constant;
  return [...(constant === 1 ? [] : [String(constant)]), ...symbols].join('*');
}

/** Exact quotient a / b, cancelling common factors; unknown when it cannot be told. */
export function divDims(a: Dim, b: Dim): Dim {
  if (isKnown(a) && isKnown(b)) return a % b === 0 ? a / b : UNKNOWN;
  if (a === UNKNOWN || b === UNKNOWN) return UNKNOWN;
  if (a === b) return 1;
  const top = factorsOf(a);
  const bottom = factorsOf(b);
  for (const symbol of bottom.symbols) {
    const at = top.symbols.indexOf(symbol);
    if (at < 0) return UNKNOWN;
    top.symbols.splice(at, 1);
  }
  return top.constant % bottom.constant === 0 ? mulDims(top.constant / bottom.constant, ...top.symbols) : UNKNOWN;
}

/** The dimension as a number, with symbols replaced by `values` (or `fallback`); undefined when it cannot be evaluated. */
export function evaluateDim(dim: Dim, values: ReadonlyMap<string, number>, fallback?: number): number | undefined {
  if (isKnown(dim)) return dim;
  const { constant, symbols } = factorsOf(dim);
  let product = constant;
  for (const symbol of symbols) {
    const value = values.get(symbol) ?? fallback;
    if (value === undefined) return undefined;
    product *= value;
  }
  return product;
}

function factorsOf(dim: Dim): { constant: number; symbols: string[] } {
  if (isKnown(dim)) return { constant: dim, symbols: [] };
  if (dim.startsWith('(')) return { constant: 1, symbols: [dim] };
  const parts = dim.split('*').map(toDim);
  return { constant: parts.filter(isKnown).reduce((x, y) => x * y, 1), symbols: parts.filter((p): p is string => !isKnown(p)) };
}

const toDim = (text: string): Dim => (/^\d+$/.test(text) ? Number(text) : text);
