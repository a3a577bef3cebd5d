import type { Node } from 'web-tree-sitter';
import type { Span } from './syntax';

/** What the source alone does not tell. */
export const UNKNOWN: unique symbol = Symbol('unknown');

export type Value =
  | typeof UNKNOWN
  | null
  | boolean
  | number
  | string
  | Value[]
  | Map<unknown, Value>
  | DottedName
  | FunctionValue
  | ClassValue
  | InstanceValue
  | LayerValue
  | ContainerValue
  | NativeFunction;

export interface Argument {
  readonly name?: string;
  /** Undefined for what a splat brought. */
  readonly span?: Span;
  readonly value: Value;
}

/** A name that the file imports: `nn.Conv2d`. */
export class DottedName {
  constructor(readonly text: string) {}

  get last(): string {
    return this.text.split('.').at(-1) ?? '';
  }
}

export type Scope = Map<string, Value> & { parent?: Scope };

export class FunctionValue {
  constructor(
    readonly name: string,
    readonly parameters: Node | null,
    readonly body: Node,
    readonly scope: Scope,
    readonly self?: InstanceValue,
    readonly definedIn?: ClassValue,
  ) {}

  bind(self: InstanceValue): FunctionValue {
    return new FunctionValue(this.name, this.parameters, this.body, this.scope, self, this.definedIn);
  }
}

export class ClassValue {
  readonly members = new Map<string, Value>();

  constructor(
    readonly name: string,
    readonly bases: readonly Value[],
  ) {}

  find(name: string): Value | undefined {
    const own = this.members.get(name);
    if (own !== undefined) return own;
    for (const base of this.bases) {
      const found = base instanceof ClassValue ? base.find(name) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Comes from torch.nn.Module, as far as the file tells. */
  get isModule(): boolean {
    return this.bases.some((base) =>
      base instanceof DottedName ? /Module$|^Model$|\.Model$/.test(base.text) : base instanceof ClassValue && base.isModule,
    );
  }
}

export class InstanceValue {
  readonly attributes = new Map<string, Value>();
  readonly bound = new Map<string, Span>();

  constructor(
    readonly type: ClassValue,
    readonly call?: Span,
    readonly argumentsEnd?: number,
  ) {}
}

/** A layer of the framework, made by a call. */
export class LayerValue {
  constructor(
    readonly callee: string,
    readonly call: Span,
    readonly arguments_: readonly Argument[],
    readonly owner: InstanceValue | undefined,
  ) {}

  get type(): string {
    return this.callee.split('.').at(-1) ?? '';
  }

  argument(position: number, name: string): Argument | undefined {
    return this.arguments_.find((a) => a.name === name) ?? this.arguments_.filter((a) => a.name === undefined)[position];
  }
}

/** Sequential, ModuleList or ModuleDict: modules by name. */
export class ContainerValue {
  items: [string, Value][] = [];

  append(value: Value): void {
    this.items.push([String(this.items.length), value]);
  }

  set(key: string, value: Value): void {
    const at = this.items.findIndex(([name]) => name === key);
    if (at < 0) this.items.push([key, value]);
    else this.items[at] = [key, value];
  }
}

export class NativeFunction {
  constructor(readonly call: (args: readonly Argument[]) => Value) {}
}

/** Python's truth; undefined when it is not known. */
export function truth(value: Value): boolean | undefined {
  if (value === UNKNOWN || value instanceof DottedName) return undefined;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof ContainerValue) return value.items.length > 0;
  return Boolean(value);
}

/** The elements that a loop visits; undefined when they are not known. */
export function iterate(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return Array.from(value);
  if (value instanceof Map) return [...value.keys()] as Value[];
  if (value instanceof ContainerValue) return value.items.map(([, item]) => item);
  return undefined;
}

/** The value as source; undefined when it has none. */
export function literalOf(value: Value): string | undefined {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return `'${value.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\n/g, '\\n')}'`;
  if (value instanceof DottedName) return value.text;
  if (!Array.isArray(value)) return undefined;
  const items = value.map(literalOf);
  return items.every((item) => item !== undefined) ? `(${items.join(', ')}${items.length === 1 ? ',' : ''})` : undefined;
}
