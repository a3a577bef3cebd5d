import path from 'node:path';
import { Language, type Node, Parser, type Tree } from 'web-tree-sitter';

export type SourceLanguage = 'python' | 'typescript';

const GRAMMARS: Readonly<Record<SourceLanguage, string>> = { python: 'tree-sitter-python.wasm', typescript: 'tree-sitter-tsx.wasm' };

/** Parsers for the languages in which networks are written. JavaScript is read with TypeScript's grammar, which contains it. */
export class Syntax {
  private constructor(private readonly parsers: ReadonlyMap<SourceLanguage, Parser>) {}

  /** @param folder holds web-tree-sitter.wasm and the grammars */
  static async load(folder: string): Promise<Syntax> {
    await Parser.init({ locateFile: (name: string) => path.join(folder, name) });
    const parsers = new Map<SourceLanguage, Parser>();
    for (const [language, file] of Object.entries(GRAMMARS) as [SourceLanguage, string][]) {
      const parser = new Parser();
      parser.setLanguage(await Language.load(path.join(folder, file)));
      parsers.set(language, parser);
    }
    return new Syntax(parsers);
  }

  /** Gives the syntax tree to `read` and frees it afterwards: no node may leave. */
  read<T>(language: SourceLanguage, source: string, read: (root: Node) => T): T {
    const tree: Tree | null | undefined = this.parsers.get(language)?.parse(source);
    if (!tree) throw new Error(`The ${language} source could not be parsed`);
    try {
      return read(tree.rootNode);
    } finally {
      tree.delete();
    }
  }
}

/** A piece of source that outlives its tree. Indices are UTF-16 code units. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

export const spanOf = (node: Node): Span => ({
  start: node.startIndex,
  end: node.endIndex,
  line: node.startPosition.row,
  column: node.startPosition.column,
  text: node.text,
});

export const namedChildren = (node: Node | null | undefined): Node[] =>
  node?.namedChildren.filter((child) => child.type !== 'comment') ?? [];

/** Imports and definitions at the top level of a Python, TypeScript or JavaScript file. */
export function headerOf(root: Node): { end: number; names: ReadonlySet<string> } {
  const names = new Set<string>();
  let end = 0;
  for (const node of namedChildren(root)) {
    const isImport = /^(import_statement|import_from_statement|future_import_statement)$/.test(node.type);
    if (isImport) end = node.endIndex;
    const defined = /export_statement|decorated_definition/.test(node.type) ? (namedChildren(node).at(-1) ?? node) : node;
    const declared = defined.childForFieldName('name')?.text;
    if (isImport) importedNames(node).forEach((name) => names.add(name));
    else if (declared) names.add(declared);
    for (const variable of defined.type === 'lexical_declaration' ? namedChildren(defined) : [])
      names.add(variable.childForFieldName('name')?.text ?? '');
  }
  return { end, names };
}

function importedNames(statement: Node): string[] {
  const module = statement.childForFieldName('module_name');
  const bound = (node: Node): string[] => {
    const alias = node.childForFieldName('alias');
    if (alias) return [alias.text];
    if (node.type === 'dotted_name') return [node.text.split('.')[0] ?? ''];
    if (/identifier$/.test(node.type)) return [node.text];
    return namedChildren(node).flatMap(bound);
  };
  return namedChildren(statement).flatMap((node) => (node.id === module?.id ? [] : bound(node)));
}
