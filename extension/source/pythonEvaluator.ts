import type { Node } from 'web-tree-sitter';
import { binary, builtin, compare, methodOf, textOf } from './pythonOperators';
import {
  type Argument,
  ClassValue,
  ContainerValue,
  DottedName,
  FunctionValue,
  InstanceValue,
  LayerValue,
  NativeFunction,
  type Scope,
  UNKNOWN,
  type Value,
  iterate,
  truth,
} from './pythonValues';
import { namedChildren, spanOf } from './syntax';

/** More than any constructor of a network needs; a file that needs more is not followed further. */
const MAX_STEPS = 400_000;
const MAX_DEPTH = 60;
const CONTAINERS = new Set(['Sequential', 'ModuleList', 'ModuleDict']);

class Returned {
  constructor(readonly value: Value) {}
}
type Flow = Returned | 'break' | 'continue' | undefined;

/**
 * Follows the part of Python that constructors of networks are written in: what is not known stays unknown, both branches of an
 * unknown condition are taken, and nothing of the file is ever executed.
 */
export class PythonEvaluator {
  readonly globals: Scope = new Map<string, Value>();
  /** Every layer in the order of creation. */
  readonly created: LayerValue[] = [];
  readonly notes = new Set<string>();
  private steps = 0;
  private readonly selves: (InstanceValue | undefined)[] = [];

  run(module: Node): void {
    this.block(module, this.globals);
  }

  /** Calls a class or function of the file without arguments. */
  make(callable: Value): Value {
    return this.call(callable, [], undefined);
  }

  private block(node: Node | null, scope: Scope): Flow {
    for (const statement of namedChildren(node)) {
      const flow = this.statement(statement, scope);
      if (flow) return flow;
    }
    return undefined;
  }

  private statement(node: Node, scope: Scope): Flow {
    if (++this.steps > MAX_STEPS) throw new Error('The source takes too many steps to follow');
    const field = (name: string): Node | null => node.childForFieldName(name);
    switch (node.type) {
      case 'expression_statement':
        for (const child of namedChildren(node)) this.statement(child, scope);
        return undefined;
      case 'assignment':
        if (field('right')) this.assign(field('left'), this.evaluate(field('right'), scope), scope);
        return undefined;
      case 'augmented_assignment': {
        const operator = (field('operator')?.text ?? '').slice(0, -1);
        this.assign(field('left'), binary(operator, this.evaluate(field('left'), scope), this.evaluate(field('right'), scope)), scope);
        return undefined;
      }
      case 'function_definition':
        scope.set(field('name')?.text ?? '', this.functionOf(node, scope));
        return undefined;
      case 'class_definition':
        scope.set(field('name')?.text ?? '', this.classOf(node, scope));
        return undefined;
      case 'decorated_definition': {
        const definition = field('definition');
        return definition ? this.statement(definition, scope) : undefined;
      }
      case 'return_statement':
        return new Returned(this.evaluate(namedChildren(node)[0] ?? null, scope));
      case 'break_statement':
        return 'break';
      case 'continue_statement':
        return 'continue';
      case 'if_statement':
        return this.branch(node, scope);
      case 'for_statement':
        return this.loop(node, scope);
      case 'while_statement':
        this.notes.add(`line ${node.startPosition.row + 1}: a while loop was not followed`);
        return undefined;
      case 'try_statement':
      case 'with_statement':
        return this.block(field('body'), scope);
      default:
        if (/statement$/.test(node.type)) return undefined;
        this.evaluate(node, scope);
        return undefined;
    }
  }

  private branch(node: Node, scope: Scope): Flow {
    const condition = truth(this.evaluate(node.childForFieldName('condition'), scope));
    if (condition === true) return this.block(node.childForFieldName('consequence'), scope);
    if (condition === undefined) this.block(node.childForFieldName('consequence'), scope);
    for (const other of node.childrenForFieldName('alternative')) {
      if (other.type === 'else_clause') return this.block(other.childForFieldName('body'), scope);
      if (other.type !== 'elif_clause') continue;
      const taken = truth(this.evaluate(other.childForFieldName('condition'), scope));
      if (taken === true) return this.block(other.childForFieldName('consequence'), scope);
    }
    return undefined;
  }

  private loop(node: Node, scope: Scope): Flow {
    const items = iterate(this.evaluate(node.childForFieldName('right'), scope));
    if (!items) this.notes.add(`line ${node.startPosition.row + 1}: it is not known how often this loop runs`);
    for (const item of items ?? []) {
      this.assign(node.childForFieldName('left'), item, scope);
      const flow = this.block(node.childForFieldName('body'), scope);
      if (flow === 'break') break;
      if (flow instanceof Returned) return flow;
    }
    return undefined;
  }

  private functionOf(node: Node, scope: Scope, definedIn?: ClassValue): FunctionValue {
    const body = node.childForFieldName('body') ?? node;
    return new FunctionValue(
      node.childForFieldName('name')?.text ?? '',
      node.childForFieldName('parameters'),
      body,
      scope,
      undefined,
      definedIn,
    );
  }

  private classOf(node: Node, scope: Scope): ClassValue {
    const bases = namedChildren(node.childForFieldName('superclasses')).map((base) => this.evaluate(base, scope));
    const made = new ClassValue(node.childForFieldName('name')?.text ?? '', bases);
    const members: Scope = new Map<string, Value>();
    members.parent = scope;
    for (const child of namedChildren(node.childForFieldName('body'))) {
      const inner = child.type === 'decorated_definition' ? child.childForFieldName('definition') : child;
      if (inner?.type === 'function_definition')
        made.members.set(inner.childForFieldName('name')?.text ?? '', this.functionOf(inner, scope, made));
      else this.statement(child, members);
    }
    for (const [name, value] of members) made.members.set(name, value);
    return made;
  }

  private assign(target: Node | null, value: Value, scope: Scope): void {
    if (!target) return;
    switch (target.type) {
      case 'identifier':
        scope.set(target.text, value);
        return;
      case 'attribute': {
        const object = this.evaluate(target.childForFieldName('object'), scope);
        const name = target.childForFieldName('attribute')?.text ?? '';
        if (object instanceof InstanceValue) object.attributes.set(name, value);
        if (object instanceof ContainerValue) object.set(name, value);
        return;
      }
      case 'subscript': {
        const object = this.evaluate(target.childForFieldName('value'), scope);
        const key = this.evaluate(target.childForFieldName('subscript'), scope);
        if (object instanceof ContainerValue)
          object.set(textOf(typeof key === 'number' && key < 0 ? object.items.length + key : key), value);
        else if (object instanceof Map) object.set(key, value);
        else if (Array.isArray(object) && typeof key === 'number') object[key < 0 ? object.length + key : key] = value;
        return;
      }
      case 'pattern_list':
      case 'tuple_pattern':
      case 'list_pattern':
      case 'tuple': {
        const items = iterate(value);
        namedChildren(target).forEach((part, i) => this.assign(part, items?.[i] ?? UNKNOWN, scope));
      }
    }
  }

  private evaluate(node: Node | null | undefined, scope: Scope): Value {
    if (!node) return null;
    if (++this.steps > MAX_STEPS) throw new Error('The source takes too many steps to follow');
    const field = (name: string): Value => this.evaluate(node.childForFieldName(name), scope);
    switch (node.type) {
      case 'integer':
      case 'float':
        return Number(node.text.replace(/_/g, ''));
      case 'true':
        return true;
      case 'false':
        return false;
      case 'none':
        return null;
      case 'string':
        return namedChildren(node)
          .map((part) =>
            part.type === 'interpolation'
              ? textOf(this.evaluate(part.childForFieldName('expression'), scope))
              : part.type === 'string_content'
                ? part.text
                : '',
          )
          .join('');
      case 'identifier':
        return this.lookUp(node.text, scope);
      case 'attribute':
        return this.attribute(field('object'), node.childForFieldName('attribute')?.text ?? '');
      case 'subscript':
        return this.subscript(field('value'), node.childForFieldName('subscript'), scope);
      case 'list':
      case 'tuple':
      case 'expression_list':
        return namedChildren(node).flatMap((child) => this.element(child, scope));
      case 'dictionary':
        return new Map(
          namedChildren(node)
            .filter((pair) => pair.type === 'pair')
            .map((pair) => [this.evaluate(pair.childForFieldName('key'), scope), this.evaluate(pair.childForFieldName('value'), scope)]),
        );
      case 'parenthesized_expression':
        return this.evaluate(namedChildren(node)[0], scope);
      case 'binary_operator':
        return binary(node.childForFieldName('operator')?.text ?? '', field('left'), field('right'));
      case 'unary_operator': {
        const value = field('argument');
        return typeof value === 'number' ? (node.childForFieldName('operator')?.text === '-' ? -value : value) : UNKNOWN;
      }
      case 'not_operator': {
        const value = truth(field('argument'));
        return value === undefined ? UNKNOWN : !value;
      }
      case 'boolean_operator': {
        const left = field('left');
        const known = truth(left);
        if (known === undefined) return UNKNOWN;
        return (node.childForFieldName('operator')?.text === 'and') === known ? field('right') : left;
      }
      case 'comparison_operator':
        return this.comparison(node, scope);
      case 'conditional_expression': {
        const [yes, condition, no] = namedChildren(node);
        const known = truth(this.evaluate(condition, scope));
        return known === undefined ? UNKNOWN : this.evaluate(known ? yes : no, scope);
      }
      case 'list_comprehension':
      case 'generator_expression':
        return this.comprehension(node, scope);
      case 'call':
        return this.callNode(node, scope);
      case 'lambda':
        return UNKNOWN;
      default:
        return UNKNOWN;
    }
  }

  private element(node: Node, scope: Scope): Value[] {
    if (node.type !== 'list_splat') return [this.evaluate(node, scope)];
    return [...(iterate(this.evaluate(namedChildren(node)[0], scope)) ?? [UNKNOWN])];
  }

  private lookUp(name: string, scope: Scope): Value {
    for (let at: Scope | undefined = scope; at; at = at.parent) {
      const found = at.get(name);
      if (found !== undefined) return found;
    }
    return builtin(name) ?? new DottedName(name);
  }

  private attribute(object: Value, name: string): Value {
    if (object instanceof DottedName) {
      const known = object.text === 'math' ? builtin(name) : undefined;
      return known ?? new DottedName(`${object.text}.${name}`);
    }
    if (object instanceof InstanceValue) {
      const own = object.attributes.get(name) ?? object.type.find(name) ?? methodOf(object, name);
      return own instanceof FunctionValue ? own.bind(object) : (own ?? UNKNOWN);
    }
    if (object instanceof ClassValue) return object.find(name) ?? UNKNOWN;
    const item = object instanceof ContainerValue ? object.items.find(([key]) => key === name)?.[1] : undefined;
    return item ?? methodOf(object, name) ?? UNKNOWN;
  }

  private subscript(object: Value, key: Node | null, scope: Scope): Value {
    const items = object instanceof Map ? undefined : iterate(object);
    if (key?.type === 'slice' && items) {
      const [from, to] = [/^[^:]+/.exec(key.text)?.[0], /:([^:]+)/.exec(key.text)?.[1]].map((t) =>
        t === undefined ? undefined : Number(t),
      );
      if ([from, to].some((v) => v !== undefined && Number.isNaN(v))) return UNKNOWN;
      return items.slice(from, to);
    }
    const at = this.evaluate(key, scope);
    if (object instanceof Map) return object.get(at) ?? UNKNOWN;
    if (object instanceof ContainerValue && typeof at === 'string') return this.attribute(object, at);
    return typeof at === 'number' && items ? (items.at(at) ?? UNKNOWN) : UNKNOWN;
  }

  private comparison(node: Node, scope: Scope): Value {
    const operands = namedChildren(node).map((child) => this.evaluate(child, scope));
    const operators = node.childrenForFieldName('operators').map((o) => o.text.replace(/\s+/g, ' '));
    const results = operators.map((operator, i) => compare(operator, operands[i] ?? null, operands[i + 1] ?? null));
    if (results.includes(false)) return false;
    return results.every((r) => r === true) ? true : UNKNOWN;
  }

  private comprehension(node: Node, scope: Scope): Value {
    const clauses = namedChildren(node).filter((c) => c.type === 'for_in_clause' || c.type === 'if_clause');
    const result: Value[] = [];
    const visit = (index: number, inner: Scope): void => {
      const clause = clauses[index];
      if (!clause) {
        result.push(this.evaluate(node.childForFieldName('body'), inner));
      } else if (clause.type === 'if_clause') {
        if (truth(this.evaluate(namedChildren(clause)[0], inner)) !== false) visit(index + 1, inner);
      } else {
        for (const item of iterate(this.evaluate(clause.childForFieldName('right'), inner)) ?? []) {
          this.assign(clause.childForFieldName('left'), item, inner);
          visit(index + 1, inner);
        }
      }
    };
    visit(0, childScope(scope));
    return result;
  }

  private callNode(node: Node, scope: Scope): Value {
    const list = node.childForFieldName('arguments');
    const callee = node.childForFieldName('function');
    if (callee?.text === 'super') return this.superOf();
    const target = this.evaluate(callee, scope);
    const args: readonly Argument[] =
      list?.type === 'generator_expression' ? [{ value: this.evaluate(list, scope) }] : this.argumentsOf(list, scope);
    return this.call(target, args, node);
  }

  /** The instance as its base class sees it: only the base's own methods of this file matter. */
  private superOf(): Value {
    const self = this.selves.at(-1);
    const current = this.definedIn.at(-1);
    if (!self || !current) return UNKNOWN;
    const seen = new InstanceValue(new ClassValue('super', current.bases));
    for (const base of current.bases)
      if (base instanceof ClassValue)
        for (const [name, member] of base.members) if (member instanceof FunctionValue) seen.attributes.set(name, member.bind(self));
    return seen;
  }

  private readonly definedIn: (ClassValue | undefined)[] = [];

  private argumentsOf(list: Node | null, scope: Scope): Argument[] {
    return namedChildren(list).flatMap((child): Argument[] => {
      if (child.type === 'keyword_argument') {
        const value = child.childForFieldName('value');
        return value
          ? [{ name: child.childForFieldName('name')?.text ?? '', span: spanOf(value), value: this.evaluate(value, scope) }]
          : [];
      }
      if (child.type === 'list_splat') return this.element(child, scope).map((value) => ({ value }));
      if (child.type === 'dictionary_splat') {
        const given = this.evaluate(namedChildren(child)[0], scope);
        return given instanceof Map ? [...given].map(([name, value]) => ({ name: String(name), value })) : [];
      }
      return [{ span: spanOf(child), value: this.evaluate(child, scope) }];
    });
  }

  private call(target: Value, args: readonly Argument[], node: Node | undefined): Value {
    if (target instanceof NativeFunction) return target.call(args);
    if (target instanceof FunctionValue) return this.invoke(target, args);
    if (target instanceof ClassValue) return this.construct(target, args, node);
    return target instanceof DottedName && node ? this.imported(target, args, node) : UNKNOWN;
  }

  private construct(type: ClassValue, args: readonly Argument[], node: Node | undefined): Value {
    const list = node?.childForFieldName('arguments');
    const instance = new InstanceValue(type, node && spanOf(node), list ? list.endIndex - 1 : undefined);
    const init = type.find('__init__');
    if (init instanceof FunctionValue) this.invoke(init.bind(instance), args, instance);
    return instance;
  }

  private imported(target: DottedName, args: readonly Argument[], node: Node): Value {
    if (target.last === 'OrderedDict') {
      const given = args[0]?.value;
      return given instanceof Map
        ? given
        : new Map((iterate(given ?? []) ?? []).flatMap((pair) => (Array.isArray(pair) ? [[pair[0], pair[1] ?? null] as const] : [])));
    }
    if (CONTAINERS.has(target.last)) {
      const container = new ContainerValue();
      const [first] = args;
      if (first?.value instanceof Map) for (const [name, value] of first.value) container.set(String(name), value);
      else for (const { value } of args) for (const item of Array.isArray(value) ? value : ([value] as Value[])) container.append(item);
      return container;
    }
    if (!/^[A-Z]/.test(target.last)) return UNKNOWN;
    const layer = new LayerValue(target.text, spanOf(node), args, this.selves.at(-1));
    this.created.push(layer);
    return layer;
  }

  private invoke(target: FunctionValue, args: readonly Argument[], constructed?: InstanceValue): Value {
    if (this.selves.length > MAX_DEPTH) throw new Error('The source nests its calls too deeply to follow');
    const scope = childScope(target.scope);
    this.bind(target, args, scope, constructed);
    this.selves.push(target.self ?? this.selves.at(-1));
    this.definedIn.push(target.definedIn);
    try {
      const flow = this.block(target.body, scope);
      return flow instanceof Returned ? flow.value : null;
    } finally {
      this.selves.pop();
      this.definedIn.pop();
    }
  }

  private bind(target: FunctionValue, args: readonly Argument[], scope: Scope, constructed?: InstanceValue): void {
    const positional = args.filter((a) => a.name === undefined);
    const keywords = new Map(args.flatMap((a) => (a.name === undefined ? [] : [[a.name, a] as const])));
    if (target.self) positional.unshift({ value: target.self });
    for (const parameter of namedChildren(target.parameters)) {
      const splat = parameter.type === 'list_splat_pattern' || parameter.type === 'dictionary_splat_pattern';
      const name =
        parameter.type === 'identifier'
          ? parameter.text
          : ((parameter.childForFieldName('name') ?? namedChildren(parameter)[0])?.text ?? '');
      if (parameter.type === 'list_splat_pattern')
        scope.set(
          name,
          positional.splice(0).map((a) => a.value),
        );
      else if (splat) scope.set(name, new Map([...keywords].map(([key, a]) => [key, a.value])));
      else if (/separator$/.test(parameter.type)) continue;
      else {
        const given = keywords.get(name) ?? positional.shift();
        const fallback = parameter.childForFieldName('value');
        keywords.delete(name);
        scope.set(name, given ? given.value : fallback ? this.evaluate(fallback, target.scope) : UNKNOWN);
        if (constructed && given?.span) constructed.bound.set(name, given.span);
      }
    }
  }
}

function childScope(parent: Scope): Scope {
  const scope: Scope = new Map<string, Value>();
  scope.parent = parent;
  return scope;
}
