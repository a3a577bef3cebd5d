import { group } from 'd3';
import * as vscode from 'vscode';
import { formatCount, formatPercent } from '../engine/contract/format';
import type { LayerSummary } from '../engine/contract/models';
import { bestChoices, formatRatio } from '../engine/contract/rankChoices';
import type { RankedLayer } from '../engine/contract/ranksPage';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';
import type { RankResults } from './rankResults';
import type { SourceLayer } from './source/sourceModel';
import type { SourceModels } from './sourceModels';

/** Cost, importance and pending surgery over each layer in the source file that defines an open model. */
export class LayerLenses implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;
  private readonly subscription: vscode.Disposable;

  constructor(
    editors: ModelEditorProvider,
    private readonly sources: SourceModels,
    private readonly ranks: RankResults,
  ) {
    const changed = (): void => this.changed.fire();
    this.subscription = vscode.Disposable.from(editors.onDidChangeDocuments(changed), ranks.onDidChange(changed));
  }

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    if (!vscode.workspace.getConfiguration('scalpel', document.uri).get<boolean>('codeLens', true)) return [];
    const bound = await this.sources.bind(document);
    if (!bound) return [];
    const { model, match } = bound;
    const found = [...match.layers].flatMap(([index, summary]) => {
      const layer = match.network.layers[index];
      return layer ? [{ layer, summary }] : [];
    });
    const replaceable = new Map((await this.ranks.layers(model).catch(() => [])).map((l) => [l.layer, l]));
    return [...group(found, ({ layer }) => layer.call.start).values()].flatMap((places) => {
      const ranked = places.flatMap(({ summary }) => replaceable.get(summary.name) ?? []);
      return [...lensesOf(document, model, places), ...rankLenses(model, places, ranked)];
    });
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
  }
}

const MOST_CHOICES = 2;

interface Place {
  readonly layer: SourceLayer;
  readonly summary: LayerSummary;
}

function lensesOf(document: vscode.TextDocument, model: ModelDocument, places: readonly Place[]): vscode.CodeLens[] {
  const [first] = places;
  if (!first) return [];
  const { line, column } = first.layer.call;
  const at = new vscode.Range(line, column, line, column);
  const summaries = places.map((p) => p.summary);
  const costs = new vscode.CodeLens(at, {
    title: costOf(model, summaries),
    tooltip: summaries.map((s) => s.name).join('\n'),
    command: 'scalpel.revealLayer',
    arguments: [model.uri, first.summary.name],
  });
  const pending = pendingOf(model, places);
  if (!pending) return [costs];
  const title = `$(edit) ${pending}`;
  const tooltip = 'Preview the change of the source';
  return [costs, new vscode.CodeLens(at, { title, tooltip, command: 'scalpel.applyPlanToSource', arguments: [document.uri] })];
}

/** What block-term forms of the layer cost, once candidates were looked for; opens the page on ranks at the layer. */
function rankLenses(model: ModelDocument, [first]: readonly Place[], layers: readonly RankedLayer[]): vscode.CodeLens[] {
  const shown = layers.find((l) => l.ranks) ?? layers[0];
  if (!first || !shown) return [];
  const { line, column } = first.layer.call;
  const best = shown.ranks ? bestChoices(shown.ranks).slice(0, MOST_CHOICES) : [];
  const texts = best.map(({ ratio, candidate }) => `${formatPercent(candidate.error, 0)} at ${formatRatio(ratio)}× fewer`);
  const title = texts.length > 0 ? `Block-Term error ${texts.join(', ')}` : 'Block-Term ranks…';
  const tooltip = shown.ranks?.verdict ?? `Write ${shown.layer} as a sum of Tucker blocks`;
  const command = { title, tooltip, command: 'scalpel.ranks', arguments: [model.uri, shown.layer] };
  return [new vscode.CodeLens(new vscode.Range(line, column, line, column), command)];
}

function costOf(model: ModelDocument, layers: readonly LayerSummary[]): string {
  const sum = (key: 'parameters' | 'macs'): number => layers.reduce((n, l) => n + l[key], 0);
  const parts = [`${formatCount(sum('parameters'))} parameters`];
  if (sum('macs') > 0) parts.push(`${formatCount(sum('macs'))} MACs`);
  if (layers.length > 1) parts.push(`${layers.length} layers`);
  const importance = importanceOf(model, layers);
  if (importance !== undefined) parts.push(`${formatPercent(importance)} of the importance`);
  return parts.join(' · ');
}

/** Part of all scores that the groups of these layers have. */
function importanceOf(model: ModelDocument, layers: readonly LayerSummary[]): number | undefined {
  const groups = new Set(layers.flatMap((l) => (l.group === undefined ? [] : [l.group])));
  if (!model.importance || groups.size === 0) return undefined;
  const total = (scores: readonly number[]): number => scores.reduce((a, b) => a + b, 0);
  const all = model.importance.groups.reduce((n, g) => n + total(g.scores), 0);
  return all > 0 ? model.importance.groups.reduce((n, g) => n + (groups.has(g.id) ? total(g.scores) : 0), 0) / all : undefined;
}

/** What the plan or the file has and the source has not. */
function pendingOf(model: ModelDocument, places: readonly Place[]): string | undefined {
  const after = new Map(model.summary.layers.map((l) => [l.name, l.features]));
  const names = new Set(places.map((p) => p.summary.name));
  const parts = model.operations.flatMap((o) => {
    if (!o.enabled || o.kind === 'prune') return [];
    if (o.kind === 'decompose') return names.has(o.layer) ? ['block-term form in the plan'] : [];
    return (o.noise.layers ?? model.summary.noiseLayers).some((l) => names.has(l)) ? [`${o.noise.method} noise`] : [];
  });
  const isDecomposed = new Set(model.operations.flatMap((o) => (o.kind === 'decompose' && o.enabled ? [o.layer] : [])));
  const kept = places.filter(({ summary }) => !isDecomposed.has(summary.name));
  const changes = kept.flatMap(({ layer, summary }) =>
    layer.slots.filter(({ role, value }) => {
      const count = after.get(summary.name)?.[role];
      return value !== undefined && count !== undefined && count !== value;
    }),
  );
  const outputs = kept.reduce((n, { layer, summary }) => {
    const before = layer.slots.find((s) => s.role === 'outputs')?.value;
    const now = after.get(summary.name)?.outputs;
    return before !== undefined && now !== undefined ? n + before - now : n;
  }, 0);
  if (outputs > 0) parts.push(`${outputs} filters to be cut`);
  else if (changes.length > 0) parts.push('follows a cut');
  return parts.length > 0 ? parts.join(' · ') : undefined;
}
