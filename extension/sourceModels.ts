import * as vscode from 'vscode';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';
import { type Match, matchModel } from './source/matchModel';
import { NetworkReader, sourceLanguage } from './source/networkReader';
import type { SourceNetwork } from './source/sourceModel';

/** A source file together with the open model that it defines. */
export interface BoundSource {
  readonly model: ModelDocument;
  readonly match: Match;
}

/** Reads the networks of open source files and finds the open model that each defines. */
export class SourceModels {
  private readonly reader: Promise<NetworkReader>;
  private readonly known = new WeakMap<vscode.TextDocument, { version: number; networks: readonly SourceNetwork[] }>();

  /** @param folder holds the parser and its grammars */
  constructor(
    folder: string,
    private readonly editors: ModelEditorProvider,
  ) {
    this.reader = NetworkReader.load(folder);
    this.reader.catch(() => undefined);
  }

  /** Networks of a text in the language of the document. */
  async readerFor(document: vscode.TextDocument): Promise<((source: string) => readonly SourceNetwork[]) | undefined> {
    const language = sourceLanguage(document.languageId);
    const reader = await this.reader;
    return language && ((source) => reader.read(language, source));
  }

  /** The open model that has most of the file's layers. */
  async bind(document: vscode.TextDocument): Promise<BoundSource | undefined> {
    if (this.editors.documents.length === 0) return undefined;
    const networks = await this.networksOf(document);
    const bound = this.editors.documents.flatMap((model): BoundSource[] => {
      const match = matchModel(networks, model.originalSummary);
      return match ? [{ model, match }] : [];
    });
    const isActive = ({ model }: BoundSource): number => Number(model === this.editors.active);
    return bound.sort((a, b) => b.match.layers.size - a.match.layers.size || isActive(b) - isActive(a))[0];
  }

  private async networksOf(document: vscode.TextDocument): Promise<readonly SourceNetwork[]> {
    const cached = this.known.get(document);
    if (cached?.version === document.version) return cached.networks;
    const { version } = document;
    const networks = (await this.readerFor(document))?.(document.getText()) ?? [];
    this.known.set(document, { version, networks });
    return networks;
  }
}
