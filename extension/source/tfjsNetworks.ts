import type { Node } from 'web-tree-sitter';
import { TFJS_LAYERS } from './layerTypes';
import type { Slot, SourceArgument, SourceLayer, SourceNetwork } from './sourceModel';
import { type Span, headerOf, namedChildren, spanOf } from './syntax';

/** tfjs layers (`tf.layers.conv2d({filters: 32})`) of each function that makes some, in the order of the source. */
export function tfjsNetworks(root: Node): SourceNetwork[] {
  const constants = constantsOf(root);
  const header = headerOf(root);
  const byFunction = new Map<number, { name: string; layers: SourceLayer[]; notes: string[] }>();
  for (const call of root.descendantsOfType('call_expression')) {
    const layer = layerOf(call, constants);
    if (!layer) continue;
    const { key, name, isInLoop } = placeOf(call);
    const place = byFunction.get(key) ?? { name, layers: [], notes: [] };
    byFunction.set(key, place);
    place.layers.push(layer);
    if (isInLoop) place.notes.push(`line ${layer.call.line + 1}: how often this loop runs was not followed`);
  }
  return [...byFunction.values()].map(({ name, layers, notes }) => ({
    framework: 'tfjs',
    name,
    layers,
    instances: [],
    classes: new Map(),
    header,
    notes,
  }));
}

function layerOf(call: Node, constants: ReadonlyMap<string, number>): SourceLayer | undefined {
  const callee = call.childForFieldName('function');
  const type = callee?.childForFieldName('property')?.text ?? '';
  const from = callee?.childForFieldName('object')?.text ?? '';
  if (!/(^|\.)layers$/.test(from) || !TFJS_LAYERS.has(type)) return undefined;
  const option = TFJS_LAYERS.get(type);
  const config = namedChildren(call.childForFieldName('arguments'))[0];
  const options = new Map<string, Node>();
  for (const pair of namedChildren(config)) {
    if (pair.type === 'shorthand_property_identifier') options.set(pair.text, pair);
    const value = pair.type === 'pair' ? pair.childForFieldName('value') : undefined;
    if (value) options.set((pair.childForFieldName('key')?.text ?? '').replace(/^['"]|['"]$/g, ''), value);
  }
  const count = option ? options.get(option) : undefined;
  const slots: Slot[] = count ? [{ role: 'outputs', span: shorthandSpan(count, option ?? ''), value: numberOf(count, constants) }] : [];
  const name = options.get('name')?.text.replace(/^['"`]|['"`]$/g, '') ?? '';
  const arguments_: SourceArgument[] = [...options].map(([key, value]) => ({ name: key, span: spanOf(value), literal: value.text }));
  return { path: name, type, callee: callee?.text ?? '', call: spanOf(call), slots, arguments: arguments_ };
}

/** `{ filters }` becomes `{ filters: 12 }`: what is replaced then is written with its key. */
const shorthandSpan = (node: Node, key: string): Span =>
  node.type === 'shorthand_property_identifier' ? { ...spanOf(node), text: `${key}: ${node.text}` } : spanOf(node);

function numberOf(node: Node, constants: ReadonlyMap<string, number>): number | undefined {
  if (node.type === 'number') return Number(node.text);
  if (node.type === 'identifier' || node.type === 'shorthand_property_identifier') return constants.get(node.text);
  if (node.type !== 'binary_expression') return undefined;
  const [left, right] = namedChildren(node).map((child) => numberOf(child, constants));
  if (left === undefined || right === undefined) return undefined;
  const operator = node.childForFieldName('operator')?.text ?? '';
  return { '+': left + right, '-': left - right, '*': left * right, '/': left / right }[operator];
}

function constantsOf(root: Node): ReadonlyMap<string, number> {
  const constants = new Map<string, number>();
  for (const declared of root.descendantsOfType('variable_declarator')) {
    const value = declared.childForFieldName('value');
    const number = value ? numberOf(value, constants) : undefined;
    if (declared.parent?.text.startsWith('const') && number !== undefined)
      constants.set(declared.childForFieldName('name')?.text ?? '', number);
  }
  return constants;
}

function placeOf(node: Node): { key: number; name: string; isInLoop: boolean } {
  let isInLoop = false;
  for (let at = node.parent; at; at = at.parent) {
    if (/^(for|while|do|for_in)_statement$/.test(at.type)) isInLoop = true;
    if (/function|method_definition/.test(at.type))
      return {
        key: at.startIndex,
        name: (at.childForFieldName('name') ?? at.parent?.childForFieldName('name'))?.text ?? 'a function',
        isInLoop,
      };
  }
  return { key: -1, name: 'the file', isInLoop };
}
