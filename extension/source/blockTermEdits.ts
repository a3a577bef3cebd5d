import { group } from 'd3';
import { type BlockTermForm, constructorOf } from './blockTermConstructors';
import type { Match } from './matchModel';
import { placeAssignments } from './replacementEdits';
import type { SourceLayer, TextEdit } from './sourceModel';
import type { Template } from './templateUnits';

/**
 * Replaces the constructors of decomposed layers by those of block-term layers, whose classes are written after the imports unless
 * the file has them. A constructor that makes several layers stays; the decomposed one is then assigned after it was made.
 * @throws Error that says which layer stands in the way and why
 */
export function blockTermEdits(match: Match, forms: readonly BlockTermForm[], template: Template): TextEdit[] {
  const { network } = match;
  const byName = new Map([...match.layers].map(([index, { name }]) => [name, network.layers[index]]));
  const made = group(network.layers, (l) => l.call.start);
  const classes = new Set<string>();
  const edits: TextEdit[] = [];
  const assigned: (readonly [SourceLayer, string])[] = [];
  for (const form of forms) {
    const layer = byName.get(form.layer);
    if (!layer) continue;
    const { className, text } = constructorOf(network.framework, layer, form);
    classes.add(className);
    const isShared = (made.get(layer.call.start)?.length ?? 0) > 1 || (layer.owner ?? 0) > 0;
    if (isShared) assigned.push([layer, text]);
    else edits.push({ start: layer.call.start, end: layer.call.end, text });
  }
  if (assigned.length > 0) edits.push(assignments(match, assigned));
  return edits.length === 0 ? [] : [...classText(match, [...classes], template), ...edits];
}

function assignments(match: Match, layers: readonly (readonly [SourceLayer, string])[]): TextEdit {
  const edit = match.network.framework === 'pytorch' ? placeAssignments(match, layers) : undefined;
  const [[layer] = []] = layers;
  if (!edit)
    throw new Error(
      `${layer?.path || layer?.type || 'A layer'}: line ${(layer?.call.line ?? 0) + 1} makes several layers; give this one a line of its own`,
    );
  return edit;
}

function classText({ network }: Match, names: readonly string[], template: Template): TextEdit[] {
  const { end, names: known } = network.header;
  const { imports, units } = template.textFor(names, known);
  if (units.length === 0) return [];
  const between = network.framework === 'tfjs' ? '\n\n' : '\n\n\n';
  const blocks = [...(imports.length > 0 ? [imports.join('\n')] : []), ...units].join(between);
  const text = end === 0 ? `${blocks}${between}` : `${imports.length > 0 ? '\n' : between}${blocks}`;
  return [{ start: end, end, text }];
}
