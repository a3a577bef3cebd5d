import type { ModelSummary } from '../../engine/contract/models';
import type { BlockTermForm } from './blockTermConstructors';
import { blockTermEdits } from './blockTermEdits';
import { type ReadNetworks, type SourceEdits, channelEdits } from './channelEdits';
import { matchModel } from './matchModel';
import { applyEdits } from './sourceModel';
import type { Template } from './templateUnits';

/** A plan as its source has to follow it. */
export interface SourceChange {
  readonly before: ModelSummary;
  readonly after: ModelSummary;
  /** Decomposed layers. */
  readonly forms: readonly BlockTermForm[];
  readonly template: Template;
}

/** Edits that bring a source in step with a plan: channel counts, and block-term layers in place of the decomposed ones. */
export function planEdits(source: string, read: ReadNetworks, { before, after, forms, template }: SourceChange): SourceEdits {
  const names = new Set(forms.map((f) => f.layer));
  const counts = channelEdits(source, read, before, after, names);
  const match = matchModel(read(source), before);
  const replaced = match ? blockTermEdits(match, forms, template) : [];
  if (!match || replaced.length === 0) return counts;
  const edits = [...counts.edits, ...replaced].sort((a, b) => a.start - b.start);
  const crossed = edits.find((edit, i) => (edits[i + 1]?.start ?? Infinity) < edit.end);
  const text = crossed ? '' : applyEdits(source, edits);
  const again = read(text).find((n) => n.name === match.network.name && n.framework === match.network.framework);
  const done = [...match.layers.values()].filter((l) => names.has(l.name)).length;
  if ((again?.layers.length ?? 0) !== match.network.layers.length - done)
    throw new Error(`${match.network.name}: the block-term layers cannot be written into this source without changing other layers`);
  return { edits, changed: counts.changed + done, notes: counts.notes };
}
