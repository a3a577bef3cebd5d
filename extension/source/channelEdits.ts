import { group } from 'd3';
import type { LayerFeatures, ModelSummary } from '../../engine/contract/models';
import { type ClassSlot, editClass } from './classEdits';
import { type Match, matchModel } from './matchModel';
import { replacementEdits } from './replacementEdits';
import { type Slot, type SourceLayer, type SourceNetwork, type TextEdit, applyEdits } from './sourceModel';

/** Edits of a source file that give its layers the counts of the model after the plan. */
export interface SourceEdits {
  readonly edits: readonly TextEdit[];
  /** Layers whose counts change. */
  readonly changed: number;
  /** What a person has to look at. */
  readonly notes: readonly string[];
}

/** A slot with the count that it should state. */
export interface Wanted {
  readonly layer: SourceLayer;
  readonly slot: Slot;
  readonly count: number;
}

/** Reads the networks of a source text, edited or not. */
export type ReadNetworks = (source: string) => readonly SourceNetwork[];

/**
 * Rewrites the channel counts of a source. First in place: literals, arguments of the classes that the layers are made in, new
 * parameters where layers of one class part; where loops make that impossible, by replacing layers after they were made. Each way is
 * read again and taken only when every layer then has the counts of the pruned model.
 * @param replaced layers that get another constructor and are left alone here
 * @throws Error when no way is right
 */
export function channelEdits(
  source: string,
  read: ReadNetworks,
  before: ModelSummary,
  after: ModelSummary,
  replaced: ReadonlySet<string> = new Set(),
): SourceEdits {
  const whole = matchModel(read(source), before);
  if (!whole) throw new Error('No network in this file has the layers of the model');
  const match = { ...whole, layers: new Map([...whole.layers].filter(([, { name }]) => !replaced.has(name))) };
  const wanted = wantedCounts(match, after);
  const changed = wanted.filter(({ slot, count }) => slot.value !== count);
  const notes = [...match.network.notes, ...unmatched(whole), ...reshapes(source, match, after)];
  if (changed.length === 0) return { edits: [], changed: 0, notes };
  for (const way of [inPlace, replacementEdits]) {
    const edits = way(match, wanted);
    if (edits && isRight(applyEdits(source, edits), read, match, after))
      return { edits, changed: new Set(changed.map((w) => w.layer)).size, notes };
  }
  throw new Error(`${match.network.name}: the counts of the pruned model cannot be written into this source; ${describe(changed[0])}`);
}

const describe = (first: Wanted | undefined): string =>
  first ? `${first.layer.path || first.layer.type} in line ${first.layer.call.line + 1} should have ${first.count} ${first.slot.role}` : '';

function wantedCounts(match: Match, after: ModelSummary): Wanted[] {
  const features = featuresByLayer(after);
  return [...match.layers].flatMap(([index, summary]) => {
    const layer = match.network.layers[index];
    const now = features.get(summary.name);
    return layer && now ? layer.slots.map((slot) => ({ layer, slot, count: now[slot.role] })) : [];
  });
}

const featuresByLayer = (summary: ModelSummary): ReadonlyMap<string, LayerFeatures> =>
  new Map(summary.layers.flatMap((l) => (l.features ? [[l.name, l.features] as const] : [])));

/** The edited source, read again, has the layers of the pruned model. */
function isRight(edited: string, read: ReadNetworks, match: Match, after: ModelSummary): boolean {
  const again = read(edited).find((n) => n.name === match.network.name && n.framework === match.network.framework);
  const features = featuresByLayer(after);
  if (again?.layers.length !== match.network.layers.length) return false;
  return [...match.layers].every(([index, summary]) => {
    const wanted = features.get(summary.name);
    const original = match.network.layers[index];
    const layer = match.by === 'name' ? again.layers.find((l) => l.path === original?.path) : again.layers[index];
    return wanted && layer?.slots.every(({ role, value }) => value === undefined || value === wanted[role]);
  });
}

function inPlace(match: Match, wanted: readonly Wanted[]): TextEdit[] | undefined {
  const classes = new Map<string, ClassSlot[]>();
  const direct: Wanted[] = [];
  const { instances } = match.network;
  for (const item of wanted) {
    const { owner = 0 } = item.layer;
    const instance = instances[owner];
    if (owner === 0 || !instance?.call) direct.push(item);
    else classes.set(instance.className, [...(classes.get(instance.className) ?? []), { ...item, owner }]);
  }
  const edits = directEdits(direct);
  for (const [name, slots] of classes) {
    const made = edits && editClass(match.network, name, slots);
    if (!made) return undefined;
    edits.push(...made);
  }
  return edits;
}

/** One literal for every argument; undefined when one argument would have to state several counts. */
export function directEdits(wanted: readonly Wanted[]): TextEdit[] | undefined {
  const byPlace = group(wanted, ({ slot }) => slot.span.start);
  const edits: TextEdit[] = [];
  for (const [, items] of byPlace) {
    const [first] = items;
    if (!first || items.every(({ slot, count }) => slot.value === count)) continue;
    if (items.some(({ count }) => count !== first.count)) return undefined;
    edits.push(literalEdit(first.slot, first.count));
  }
  return edits;
}

/** A shorthand `{ filters }` keeps its key. */
export function literalEdit({ span }: Slot, count: number | string): TextEdit {
  const key = span.text.length > span.end - span.start ? /^\w+: /.exec(span.text)?.[0] : undefined;
  return { start: span.start, end: span.end, text: `${key ?? ''}${count}` };
}

function unmatched({ network, layers }: Match): string[] {
  const missing = network.layers.filter((_, i) => !layers.has(i));
  if (missing.length === 0) return [];
  const names = missing.slice(0, 4).map((l) => l.path || `${l.type} in line ${l.call.line + 1}`);
  return [
    `${missing.length} layers of the source are not in the model file and stay as they are: ${names.join(', ')}${missing.length > 4 ? ', …' : ''}`,
  ];
}

/** Fixed sizes in view and reshape belong to the person who wrote them. */
function reshapes(source: string, match: Match, after: ModelSummary): string[] {
  const features = featuresByLayer(after);
  const flattened = [...match.layers.values()].filter(
    (l) => l.features && l.features.inputs !== features.get(l.name)?.inputs && /Gemm|MatMul/.test(l.op),
  );
  return flattened.flatMap(({ features: was, name }) => {
    const line = source
      .split('\n')
      .findIndex((text) => /\.(view|reshape)\(/.test(text) && new RegExp(`\\b${was?.inputs ?? 0}\\b`).test(text));
    return line < 0 ? [] : [`line ${line + 1} reshapes to ${was?.inputs ?? 0} features, which are ${features.get(name)?.inputs ?? 0} now`];
  });
}
