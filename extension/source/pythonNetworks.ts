import type { Node } from 'web-tree-sitter';
import { KERAS_LAYERS, PYTORCH_LAYERS, type CountArgument } from './layerTypes';
import { PythonEvaluator } from './pythonEvaluator';
import { ClassValue, ContainerValue, FunctionValue, InstanceValue, LayerValue, type Value, literalOf } from './pythonValues';
import type { Slot, SourceArgument, SourceClass, SourceInstance, SourceLayer, SourceNetwork } from './sourceModel';
import { headerOf, namedChildren, spanOf } from './syntax';

/** Every network that a Python file could make: module classes, functions that return one, and module-level objects. */
export function pythonNetworks(root: Node): SourceNetwork[] {
  const isKeras = /\b(keras|tensorflow)\b/.test(root.text.slice(0, 4000)) && !/\bimport torch\b|\bfrom torch\b/.test(root.text);
  return isKeras ? kerasNetworks(root) : pytorchNetworks(root);
}

function evaluator(root: Node): PythonEvaluator {
  const python = new PythonEvaluator();
  try {
    python.run(root);
  } catch (error) {
    python.notes.add(error instanceof Error ? error.message : String(error));
  }
  return python;
}

function pytorchNetworks(root: Node): SourceNetwork[] {
  const [classes, header] = [classesOf(root), headerOf(root)];
  const python = evaluator(root);
  return [...python.globals].flatMap(([name, value]) => {
    const isFunction = value instanceof FunctionValue;
    if (!isFunction && !(value instanceof ClassValue && value.isModule) && !(value instanceof InstanceValue && value.type.isModule))
      return [];
    python.notes.clear();
    let made: Value;
    try {
      made = value instanceof InstanceValue ? value : python.make(value);
    } catch (error) {
      python.notes.add(error instanceof Error ? error.message : String(error));
      return [];
    }
    if (!(made instanceof InstanceValue)) return [];
    const returned = isFunction ? returnedCall(value.body) : undefined;
    return [{ ...networkOf(name, made, classes, [...python.notes], returned), header }];
  });
}

function networkOf(
  name: string,
  made: InstanceValue,
  classes: SourceNetwork['classes'],
  notes: readonly string[],
  returned: SourceNetwork['returned'],
): Omit<SourceNetwork, 'header'> {
  const instances = new Map<InstanceValue, number>();
  const found: [string, LayerValue][] = [];
  const visited = new Set<Value>();
  const walk = (value: Value, path: string): void => {
    if (visited.has(value)) return;
    const below = (key: string): string => (path ? `${path}.${key}` : key);
    if (value instanceof LayerValue) found.push([path, value]);
    else if (value instanceof ContainerValue) value.items.forEach(([key, item]) => walk(item, below(key)));
    else if (value instanceof InstanceValue) {
      instances.set(value, instances.size);
      for (const [key, item] of value.attributes) walk(item, below(key));
    } else return;
    visited.add(value);
  };
  walk(made, '');
  const layers = found.flatMap(([path, layer]) => {
    const known = PYTORCH_LAYERS.get(layer.type);
    const owner = layer.owner && instances.get(layer.owner);
    return known ? [layerOf(layer, path, known, owner)] : [];
  });
  return {
    framework: 'pytorch',
    name,
    layers,
    instances: [...instances.keys()].map(instanceOf),
    classes,
    notes,
    ...(returned ? { returned } : {}),
  };
}

const instanceOf = ({ type, call, argumentsEnd, bound }: InstanceValue): SourceInstance => ({
  className: type.name,
  bound,
  ...(call ? { call } : {}),
  ...(argumentsEnd === undefined ? {} : { argumentsEnd }),
});

function layerOf(layer: LayerValue, path: string, counts: readonly CountArgument[], owner?: number): SourceLayer {
  const slots = counts.flatMap(({ role, position, name }): Slot[] => {
    const argument = layer.argument(position, name);
    if (!argument?.span) return [];
    return [{ role, span: argument.span, value: typeof argument.value === 'number' ? argument.value : undefined }];
  });
  const arguments_ = layer.arguments_.flatMap(({ name, span, value }): SourceArgument[] => {
    const literal = literalOf(value);
    return span ? [{ span, ...(name === undefined ? {} : { name }), ...(literal === undefined ? {} : { literal }) }] : [];
  });
  return {
    path,
    type: layer.type,
    callee: layer.callee,
    call: layer.call,
    slots,
    arguments: arguments_,
    ...(owner === undefined ? {} : { owner }),
  };
}

function classesOf(root: Node): ReadonlyMap<string, SourceClass> {
  const classes = new Map<string, SourceClass>();
  for (const node of root.descendantsOfType('class_definition')) {
    const init = namedChildren(node.childForFieldName('body'))
      .map((child) => (child.type === 'decorated_definition' ? child.childForFieldName('definition') : child))
      .find((child) => child?.childForFieldName('name')?.text === '__init__');
    const [parameters, body] = [init?.childForFieldName('parameters'), init?.childForFieldName('body')];
    const name = node.childForFieldName('name')?.text;
    if (!name || !parameters || !body) continue;
    const listed = namedChildren(parameters).slice(1);
    const last = namedChildren(body).at(-1) ?? body;
    classes.set(name, {
      name,
      parameters: listed.map((p) =>
        p.type === 'identifier' ? p.text : ((p.childForFieldName('name') ?? namedChildren(p)[0])?.text ?? ''),
      ),
      hasDefaults: listed.some((p) => p.type !== 'identifier' && p.type !== 'typed_parameter'),
      parametersEnd: parameters.endIndex - 1,
      bodyEnd: last.endIndex,
      indent: ' '.repeat(last.startPosition.column),
    });
  }
  return classes;
}

/** `return Network(...)` at the end of a function. */
function returnedCall(body: Node): SourceNetwork['returned'] {
  const last = namedChildren(body).at(-1);
  const call = last?.type === 'return_statement' ? namedChildren(last)[0] : undefined;
  if (!last || call?.type !== 'call') return undefined;
  return { statement: spanOf(last), expression: call.text, indent: ' '.repeat(last.startPosition.column) };
}

/** Keras layers in the order in which a function, or the module itself, makes them. */
function kerasNetworks(root: Node): SourceNetwork[] {
  const python = evaluator(root);
  const header = headerOf(root);
  const network = (name: string, created: readonly LayerValue[]): SourceNetwork => {
    const layers = created.flatMap((layer) => {
      const known = KERAS_LAYERS.get(layer.type);
      const named = layer.argument(-1, 'name')?.value;
      return known ? [layerOf(layer, typeof named === 'string' ? named : '', known)] : [];
    });
    return { framework: 'keras', name, layers, instances: [], classes: new Map(), header, notes: [...python.notes] };
  };
  const networks = [network('the file', python.created)];
  for (const [name, value] of python.globals) {
    const isModel = value instanceof ClassValue && value.isModule;
    if (!(value instanceof FunctionValue) && !isModel) continue;
    const start = python.created.length;
    try {
      python.make(value);
    } catch (error) {
      python.notes.add(error instanceof Error ? error.message : String(error));
    }
    networks.push(network(name, python.created.slice(start)));
  }
  return networks.filter((n) => n.layers.length > 0);
}
