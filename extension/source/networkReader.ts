import { pythonNetworks } from './pythonNetworks';
import type { SourceNetwork } from './sourceModel';
import { type SourceLanguage, Syntax } from './syntax';
import { tfjsNetworks } from './tfjsNetworks';

/** Finds the networks that a source file defines. */
export class NetworkReader {
  private constructor(private readonly syntax: Syntax) {}

  /** @param folder holds the parser and its grammars */
  static async load(folder: string): Promise<NetworkReader> {
    return new NetworkReader(await Syntax.load(folder));
  }

  read(language: SourceLanguage, source: string): SourceNetwork[] {
    return this.syntax.read(language, source, language === 'python' ? pythonNetworks : tfjsNetworks);
  }
}

/** The language of a VS Code document; undefined for those in which no network is looked for. */
export function sourceLanguage(languageId: string): SourceLanguage | undefined {
  if (languageId === 'python') return 'python';
  return /^(typescript|javascript)(react)?$/.test(languageId) ? 'typescript' : undefined;
}
