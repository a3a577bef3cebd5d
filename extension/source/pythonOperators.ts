import { type Argument, ContainerValue, InstanceValue, NativeFunction, UNKNOWN, type Value, iterate, truth } from './pythonValues';

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '//': (a, b) => Math.floor(a / b),
  '%': (a, b) => a - b * Math.floor(a / b),
  '**': (a, b) => a ** b,
  '<<': (a, b) => a * 2 ** b,
  '>>': (a, b) => Math.floor(a / 2 ** b),
};

export function binary(operator: string, a: Value, b: Value): Value {
  if (typeof a === 'number' && typeof b === 'number') return ARITHMETIC[operator]?.(a, b) ?? UNKNOWN;
  if (operator === '+' && typeof a === 'string' && typeof b === 'string') return a + b;
  if (operator === '+' && Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (operator === '*' && Array.isArray(a) && typeof b === 'number') return Array.from({ length: Math.max(0, b) }, () => a).flat(1);
  if (operator === '*' && typeof a === 'number' && Array.isArray(b)) return binary('*', b, a);
  if (operator === '%' && typeof a === 'string') {
    const values: Value[] = Array.isArray(b) ? [...b] : [b];
    return a.replace(/%[dsi]/g, () => textOf(values.shift() ?? null));
  }
  return UNKNOWN;
}

export function compare(operator: string, a: Value, b: Value): Value {
  if (operator === 'is' || operator === 'is not') {
    if (a === UNKNOWN || b === UNKNOWN) return UNKNOWN;
    return (a === b) === (operator === 'is');
  }
  if (operator === 'in' || operator === 'not in') {
    const items = iterate(b);
    if (!items || a === UNKNOWN) return UNKNOWN;
    return items.some((item) => isEqual(item, a) === true) === (operator === 'in');
  }
  if (operator === '==' || operator === '!=') {
    const equal = isEqual(a, b);
    return equal === undefined ? UNKNOWN : equal === (operator === '==');
  }
  if (typeof a !== 'number' || typeof b !== 'number') return UNKNOWN;
  return { '<': a < b, '<=': a <= b, '>': a > b, '>=': a >= b }[operator] ?? UNKNOWN;
}

function isEqual(a: Value, b: Value): boolean | undefined {
  if (a === UNKNOWN || b === UNKNOWN) return undefined;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isEqual(item, b[i] ?? null) === true);
  return a === b;
}

export const textOf = (value: Value): string =>
  value === null ? 'None' : typeof value === 'string' || typeof value === 'number' ? String(value) : '?';

const numbers = (args: readonly Argument[]): number[] | undefined => {
  const values = (args.length === 1 ? (iterate(args[0]?.value ?? null) ?? [args[0]?.value]) : args.map((a) => a.value)) as Value[];
  return values.every((v) => typeof v === 'number') ? values : undefined;
};

const rounded =
  (round: (v: number) => number) =>
  (args: readonly Argument[]): Value => {
    const value = args[0]?.value;
    return typeof value === 'number' || typeof value === 'string' ? round(Number(value)) : UNKNOWN;
  };

const lists = (args: readonly Argument[]): (readonly Value[])[] | undefined => {
  const all = args.map((a) => iterate(a.value));
  return all.every((list) => list !== undefined) ? all : undefined;
};

const BUILTINS: Readonly<Record<string, (args: readonly Argument[]) => Value>> = {
  range(args) {
    const [a, b, c = 1] = numbers(args.length === 1 ? [{ value: 0 }, ...args] : args) ?? [];
    if (a === undefined || b === undefined || c === 0) return UNKNOWN;
    return Array.from({ length: Math.max(0, Math.ceil((b - a) / c)) }, (_, i) => a + i * c);
  },
  len: ([a]) => (a ? (iterate(a.value)?.length ?? UNKNOWN) : UNKNOWN),
  int: rounded(Math.trunc),
  round: rounded(Math.round),
  float: rounded(Number),
  abs: rounded(Math.abs),
  ceil: rounded(Math.ceil),
  floor: rounded(Math.floor),
  str: ([a]) => (a ? textOf(a.value) : ''),
  bool: ([a]) => truth(a?.value ?? null) ?? UNKNOWN,
  max: (args) => (numbers(args) ? Math.max(...(numbers(args) ?? [])) : UNKNOWN),
  min: (args) => (numbers(args) ? Math.min(...(numbers(args) ?? [])) : UNKNOWN),
  sum: (args) => numbers(args)?.reduce((a, b) => a + b, 0) ?? UNKNOWN,
  list: ([a]) => (a ? [...(iterate(a.value) ?? [])] : []),
  tuple: ([a]) => (a ? [...(iterate(a.value) ?? [])] : []),
  reversed: ([a]) => (a ? [...(iterate(a.value) ?? [])].reverse() : []),
  enumerate: ([a, start]) =>
    a ? (iterate(a.value)?.map((v, i) => [i + (typeof start?.value === 'number' ? start.value : 0), v]) ?? UNKNOWN) : UNKNOWN,
  zip(args) {
    const all = lists(args);
    return all ? Array.from({ length: Math.min(...all.map((l) => l.length)) }, (_, i) => all.map((l) => l[i] ?? null)) : UNKNOWN;
  },
  isinstance: ([a, b]) => (a?.value instanceof InstanceValue ? a.value.type === b?.value : typeof a?.value === 'number' ? false : UNKNOWN),
  print: () => null,
};

export function builtin(name: string): Value | undefined {
  const call = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
  return call && new NativeFunction(call);
}

/** Methods of lists, dictionaries and module containers. */
export function methodOf(target: Value, name: string): Value | undefined {
  const method = (call: (args: readonly Argument[]) => Value): Value => new NativeFunction(call);
  if (Array.isArray(target)) {
    if (name === 'append') return method(([a]) => (target.push(a?.value ?? null), null));
    if (name === 'extend') return method(([a]) => (target.push(...(iterate(a?.value ?? null) ?? [])), null));
    if (name === 'insert') return method(([at, a]) => (target.splice(Number(at?.value), 0, a?.value ?? null), null));
    if (name === 'copy') return method(() => [...target]);
    if (name === 'pop') return method(() => target.pop() ?? UNKNOWN);
  }
  if (target instanceof Map) {
    if (name === 'items') return method(() => [...target].map(([key, value]) => [key as Value, value]));
    if (name === 'values') return method(() => [...target.values()]);
    if (name === 'keys') return method(() => [...target.keys()] as Value[]);
    if (name === 'get') return method(([key, other]) => target.get(key?.value) ?? other?.value ?? null);
  }
  if (target instanceof ContainerValue) {
    if (name === 'append') return method(([a]) => (target.append(a?.value ?? null), null));
    if (name === 'extend') return method(([a]) => ((iterate(a?.value ?? null) ?? []).forEach((v) => target.append(v)), null));
    if (name === 'add_module') return method(([key, a]) => (target.set(textOf(key?.value ?? null), a?.value ?? null), null));
    if (name === 'add') return method(([a]) => (target.append(a?.value ?? null), null));
  }
  if (target instanceof InstanceValue && name === 'add_module')
    return method(([key, a]) => (target.attributes.set(textOf(key?.value ?? null), a?.value ?? null), null));
  return undefined;
}
