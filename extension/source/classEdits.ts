import { group } from 'd3';
import { type Wanted, literalEdit } from './channelEdits';
import type { Role, SourceClass, SourceInstance, SourceNetwork, TextEdit } from './sourceModel';

/** A slot of one instance of a class. */
export interface ClassSlot extends Wanted {
  readonly owner: number;
}

/** One argument in the class's source with the count that it should state in each instance. */
interface Place {
  readonly text: string;
  readonly slots: readonly ClassSlot[];
  readonly counts: ReadonlyMap<number, number>;
}

const SUFFIX: Readonly<Record<Role, string>> = { inputs: 'in', outputs: 'out', groups: 'groups' };

/**
 * Rewrites a class whose constructor makes layers. A parameter keeps the counts that most of its places share, by new arguments where
 * instances are made; places that part from them get a parameter of their own.
 * @returns undefined when an instance is made in a loop or elsewhere, or the class has no constructor
 */
export function editClass(network: SourceNetwork, name: string, slots: readonly ClassSlot[]): TextEdit[] | undefined {
  const definition = network.classes.get(name);
  const owners = new Map(network.instances.flatMap((instance, i) => (instance.className === name ? [[i, instance] as const] : [])));
  const calls = [...owners.values()].map(({ call }) => call?.start);
  if (!definition || calls.includes(undefined) || new Set(calls).size < calls.length) return undefined;
  const places = [...group(slots, ({ slot }) => slot.span.start).values()].map(placeOf);
  if (places.some((p) => new Set(p.slots.map((s) => s.owner)).size < p.slots.length)) return undefined;
  const editor = new ClassEditor(definition, owners);
  for (const parameter of definition.parameters)
    editor.keepParameter(
      parameter,
      places.filter((p) => p.text === parameter),
    );
  for (const place of places) if (!definition.parameters.includes(place.text)) editor.rewrite(place);
  return editor.finish();
}

const placeOf = (slots: readonly ClassSlot[]): Place => ({
  text: slots[0]?.slot.span.text ?? '',
  slots,
  counts: new Map(slots.map(({ owner, count }) => [owner, count])),
});

const isStable = ({ slots }: Place): boolean => slots.every(({ slot, count }) => slot.value === count);

/** No instance wants different counts of the two. */
const agree = (a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean =>
  [...a].every(([owner, count]) => b.get(owner) === undefined || b.get(owner) === count);

class ClassEditor {
  private readonly edits: TextEdit[] = [];
  private readonly added: { name: string; counts: Map<number, number> }[] = [];

  constructor(
    private readonly definition: SourceClass,
    private readonly owners: ReadonlyMap<number, SourceInstance>,
  ) {}

  keepParameter(parameter: string, places: readonly Place[]): void {
    if (places.every(isStable)) return;
    const parts: { counts: Map<number, number>; places: Place[] }[] = [];
    for (const place of places) {
      const part = parts.find((p) => agree(p.counts, place.counts));
      if (part) {
        part.places.push(place);
        place.counts.forEach((count, owner) => part.counts.set(owner, count));
      } else parts.push({ counts: new Map(place.counts), places: [place] });
    }
    const [kept, ...others] = parts.sort((a, b) => b.places.length - a.places.length);
    if (kept) this.bind(parameter, kept.counts, kept.places);
    for (const { places: parted } of others) parted.forEach((place) => this.rewrite(place));
  }

  /** Changes the argument of each instance that wants another count. */
  private bind(parameter: string, counts: ReadonlyMap<number, number>, places: readonly Place[]): void {
    const slots = places.flatMap((p) => p.slots);
    for (const [owner, count] of counts) {
      if (slots.filter((s) => s.owner === owner).every(({ slot }) => slot.value === count)) continue;
      const instance = this.owners.get(owner);
      const span = instance?.bound.get(parameter);
      if (span) this.edits.push({ start: span.start, end: span.end, text: String(count) });
      else this.addArgument(instance, `${parameter}=${count}`);
    }
  }

  /** A literal where every instance wants the same, a parameter of its own otherwise. */
  rewrite(place: Place): void {
    const [first] = place.slots;
    if (!first) return;
    const isExpression = this.definition.parameters.some((p) => new RegExp(`\\b${p}\\b`).test(place.text));
    if (!isExpression && isStable(place)) return;
    const counts = new Set(place.counts.values());
    if (counts.size === 1 && place.counts.size === this.owners.size) {
      this.edits.push(literalEdit(first.slot, first.count));
      return;
    }
    this.edits.push(literalEdit(first.slot, this.parameterFor(place, first)));
  }

  private parameterFor(place: Place, { layer, slot }: ClassSlot): string {
    const known = this.added.find((p) => agree(p.counts, place.counts));
    if (known) {
      place.counts.forEach((count, owner) => known.counts.set(owner, count));
      return known.name;
    }
    const own = layer.path
      .split('.')
      .filter((part) => !/^\d+$/.test(part))
      .at(-1);
    const name = `${own ?? 'layer'}_${SUFFIX[slot.role]}`;
    const taken = [...this.definition.parameters, ...this.added.map((p) => p.name)];
    const free = taken.includes(name) ? `${name}_${this.added.length + 1}` : name;
    this.added.push({ name: free, counts: new Map(place.counts) });
    return free;
  }

  private addArgument(instance: SourceInstance | undefined, text: string): void {
    const at = instance?.argumentsEnd;
    if (at === undefined) return;
    const isEmpty = /\(\s*\)$/.test(instance?.call?.text ?? '');
    this.edits.push({ start: at, end: at, text: isEmpty ? text : `, ${text}` });
  }

  finish(): TextEdit[] {
    const at = this.definition.parametersEnd;
    for (const { name, counts } of this.added) {
      const fallback = this.definition.hasDefaults || counts.size < this.owners.size ? `=${[...counts.values()][0] ?? 0}` : '';
      this.edits.push({ start: at, end: at, text: `, ${name}${fallback}` });
      for (const [owner, count] of counts) this.addArgument(this.owners.get(owner), `${name}=${count}`);
    }
    return this.edits;
  }
}
