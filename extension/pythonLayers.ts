import path from 'node:path';
import { Language, type Node, Parser } from 'web-tree-sitter';

/** A layer made in Python source: `self.conv1 = nn.Conv2d(...)`. */
export interface SourceLayer {
  readonly type: string;
  readonly attribute: string;
  /** Class whose constructor makes it; '' outside of one. */
  readonly owner: string;
  /** Zero-based position of the call. */
  readonly line: number;
  readonly column: number;
}

const LAYER_TYPES = new Set(['Conv2d', 'Linear', 'ConvTranspose2d', 'BatchNorm2d']);

/** Finds the layers that Python source defines, by its syntax tree. */
export class PythonLayers {
  private constructor(private readonly parser: Parser) {}

  /** @param folder holds web-tree-sitter.wasm and tree-sitter-python.wasm */
  static async load(folder: string): Promise<PythonLayers> {
    await Parser.init({ locateFile: (name: string) => path.join(folder, name) });
    const parser = new Parser();
    parser.setLanguage(await Language.load(path.join(folder, 'tree-sitter-python.wasm')));
    return new PythonLayers(parser);
  }

  find(source: string): SourceLayer[] {
    const tree = this.parser.parse(source);
    if (!tree) return [];
    try {
      return tree.rootNode.descendantsOfType('assignment').flatMap(layerOf);
    } finally {
      tree.delete();
    }
  }
}

function layerOf(assignment: Node | null): SourceLayer[] {
  const left = assignment?.childForFieldName('left');
  const call = assignment?.childForFieldName('right');
  const type = call?.type === 'call' ? call.childForFieldName('function')?.text.split('.').at(-1) : undefined;
  const attribute = left?.type === 'attribute' ? left.childForFieldName('attribute')?.text : undefined;
  if (!call || !type || !attribute || !LAYER_TYPES.has(type)) return [];
  return [{ type, attribute, owner: ownerOf(call), line: call.startPosition.row, column: call.startPosition.column }];
}

function ownerOf(node: Node): string {
  for (let at = node.parent; at; at = at.parent) if (at.type === 'class_definition') return at.childForFieldName('name')?.text ?? '';
  return '';
}
