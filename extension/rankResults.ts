import * as vscode from 'vscode';
import type { BlockTermChoice, LayerRanks, RankCandidate } from '../engine/contract/decomposition';
import type { DecomposeOperation, PlanOperation, SurgeryPlan } from '../engine/contract/plan';
import type { RankedLayer } from '../engine/contract/ranksPage';
import type { EngineClient } from './engineClient';
import type { ModelDocument } from './modelDocument';

type Replaceable = Omit<RankedLayer, 'share' | 'planned' | 'ranks'>;

/** The layer's decomposition in a plan. */
export const plannedForm = (document: ModelDocument, layer: string): DecomposeOperation | undefined =>
  document.operations.find((o): o is DecomposeOperation => o.kind === 'decompose' && o.layer === layer);

/** The plan up to the layer's own decomposition: the weight that every choice is fitted to. */
export function planBefore(document: ModelDocument, layer: string): SurgeryPlan {
  const own = plannedForm(document, layer);
  const { operations } = document;
  return document.planWith(own ? operations.slice(0, operations.indexOf(own)) : operations);
}

/** Layers that can be replaced and the candidates found for them, by model. They outlive the pages that show them. */
export class RankResults implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<ModelDocument>();
  readonly onDidChange = this.changed.event;
  private readonly found = new WeakMap<ModelDocument, Map<string, LayerRanks>>();
  private readonly lists = new WeakMap<ModelDocument, { key: string; layers: Promise<readonly Replaceable[]> }>();

  private readonly errors = new Map<string, number>();

  constructor(private readonly engine: EngineClient) {}

  /** Candidates of a layer's weight as the cuts before its decomposition left it. */
  get(document: ModelDocument, layer: string): LayerRanks | undefined {
    return this.found.get(document)?.get(keyOf(document, layer));
  }

  set(document: ModelDocument, ranks: LayerRanks): void {
    const known = this.found.get(document) ?? new Map<string, LayerRanks>();
    this.found.set(document, known.set(keyOf(document, ranks.layer), ranks));
    this.changed.fire(document);
  }

  /** Adds a candidate to those of its layer. */
  add(document: ModelDocument, layer: string, candidate: RankCandidate): void {
    const ranks = this.get(document, layer);
    if (ranks) this.set(document, { ...ranks, candidates: [...ranks.candidates, candidate] });
  }

  /** What the fit that the plan makes of a layer is off by. */
  setError(document: ModelDocument, layer: string, error: number): void {
    this.errors.set(formKey(document, layer), error);
    this.changed.fire(document);
  }

  /** Layers of the base that can be replaced, whether the plan does so or not, in file order. */
  async layers(document: ModelDocument): Promise<RankedLayer[]> {
    const replaceable = await this.replaceable(document);
    const { parameters } = document.originalTotals;
    return replaceable.map((layer) => {
      const planned = plannedForm(document, layer.layer);
      const ranks = this.get(document, layer.layer);
      const error = this.errors.get(formKey(document, layer.layer));
      return {
        ...layer,
        share: layer.parameters / Math.max(1, parameters),
        ...(planned?.enabled ? { planned: choiceIn(planned), ...(error === undefined ? {} : { plannedError: error }) } : {}),
        ...(ranks ? { ranks } : {}),
      };
    });
  }

  dispose(): void {
    this.changed.dispose();
  }

  private replaceable(document: ModelDocument): Promise<readonly Replaceable[]> {
    const key = JSON.stringify(document.operations.filter(changesShapes));
    const known = this.lists.get(document);
    if (known?.key === key) return known.layers;
    const layers = this.list(document);
    layers.catch(() => this.lists.delete(document));
    this.lists.set(document, { key, layers });
    return layers;
  }

  /** A decomposed layer is described as it was before, and what it became is no layer of its own. */
  private async list(document: ModelDocument): Promise<readonly Replaceable[]> {
    const { basePath: path, plan } = document;
    const ofPlan = async (of: SurgeryPlan): Promise<readonly Replaceable[]> =>
      (await this.engine.request('model/replaceable', { path, plan: of })).layers;
    const now = new Map((await ofPlan(plan)).map((l) => [l.layer, l]));
    for (const operation of document.operations)
      if (operation.kind === 'decompose') {
        const before = (await ofPlan(planBefore(document, operation.layer))).find((l) => l.layer === operation.layer);
        if (before) now.set(operation.layer, before);
      }
    return document.originalSummary.layers.flatMap(({ name }) => now.get(name) ?? []);
  }
}

const changesShapes = (operation: PlanOperation): boolean => operation.kind !== 'insert-noise';

/** Decompositions of other layers leave this layer's weight as it is; cuts do not. */
function keyOf(document: ModelDocument, layer: string): string {
  const cuts = planBefore(document, layer).operations.filter((o) => o.enabled && o.kind === 'prune');
  return JSON.stringify([layer, cuts]);
}

const formKey = (document: ModelDocument, layer: string): string =>
  JSON.stringify([document.file, keyOf(document, layer), plannedForm(document, layer)?.blockTerm]);

const choiceIn = ({ blockTerm: { inputModes, outputModes, ranks, blocks, seed } }: DecomposeOperation): BlockTermChoice => ({
  inputModes,
  outputModes,
  ranks,
  blocks,
  seed,
});
