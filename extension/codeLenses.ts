import * as vscode from 'vscode';
import type { LayerSummary } from '../engine/contract/models';
import { formatCount } from '../engine/contract/format';
import type { ModelDocument } from './modelDocument';
import { type ModelEditorProvider } from './modelEditor';
import type { PythonLayers, SourceLayer } from './pythonLayers';

/** Cost and pending cuts over each layer in the Python file that defines the open model. */
export class LayerLenses implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;
  private readonly subscription: vscode.Disposable;

  constructor(
    private readonly editors: ModelEditorProvider,
    private readonly layers: Promise<PythonLayers>,
  ) {
    this.subscription = editors.onDidChangeDocuments(() => this.changed.fire());
  }

  async provideCodeLenses(source: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    const found = (await this.layers).find(source.getText());
    const model = this.boundModel(found);
    if (!model) return [];
    return found.flatMap((layer) => {
      const matches = layersOf(model, layer, found);
      if (matches.length === 0) return [];
      const at = new vscode.Range(layer.line, layer.column, layer.line, layer.column);
      return [new vscode.CodeLens(at, { title: describe(model, matches), command: 'vscode.open', arguments: [model.uri] })];
    });
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
  }

  /** The open model that has most of the file's layers. */
  private boundModel(found: readonly SourceLayer[]): ModelDocument | undefined {
    const counted = this.editors.documents.map((model) => ({
      model,
      count: found.filter((l) => layersNamed(model, l).length > 0).length,
    }));
    return counted.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)[0]?.model;
  }
}

/** Names of the weight's modules, "layer1.0.conv1.weight" giving layer1, 0, conv1. */
const modulesOf = ({ weight }: LayerSummary): string[] => weight?.split('.').slice(0, -1) ?? [];

/** Layers whose weight is called "....attribute.weight", as PyTorch names it. */
const layersNamed = (model: ModelDocument, { attribute }: SourceLayer): LayerSummary[] =>
  model.summary.layers.filter((l) => modulesOf(l).at(-1) === attribute);

/** The class of the whole network makes the layers of the first level, the others those further down. */
function layersOf(model: ModelDocument, layer: SourceLayer, all: readonly SourceLayer[]): LayerSummary[] {
  const named = layersNamed(model, layer);
  const isOuter = (l: LayerSummary): boolean => modulesOf(l).length === 1;
  const isNetwork = all.filter((other) => other.owner === layer.owner).every((other) => layersNamed(model, other).some(isOuter));
  const split = named.filter((l) => isOuter(l) === isNetwork);
  return split.length > 0 ? split : named;
}

function describe(model: ModelDocument, layers: readonly LayerSummary[]): string {
  const sum = (key: 'parameters' | 'macs'): number => layers.reduce((n, l) => n + l[key], 0);
  const names = new Set(layers.map((l) => l.name));
  const cut = model.operations
    .flatMap((o) => (o.kind === 'prune' && o.enabled ? o.groups : []))
    .reduce((n, g) => n + g.layers.filter((l) => names.has(l)).length * (g.channels - g.keep.length), 0);
  const parts = [`${formatCount(sum('parameters'))} parameters`];
  if (sum('macs') > 0) parts.push(`${formatCount(sum('macs'))} MACs`);
  if (layers.length > 1) parts.push(`${layers.length} layers`);
  if (cut > 0) parts.push(`${cut} filters to be cut`);
  return parts.join(' · ');
}
