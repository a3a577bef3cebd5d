import type { Span } from './syntax';

/** Which count of a layer an argument states. */
export type Role = 'inputs' | 'outputs' | 'groups';

/** An argument that states a count. */
export interface Slot {
  readonly role: Role;
  readonly span: Span;
  /** Undefined where the source alone does not tell it. */
  readonly value: number | undefined;
}

/** An argument of a call in the source. */
export interface SourceArgument {
  readonly name?: string;
  readonly span: Span;
  /** The value as Python writes it; undefined when unknown. */
  readonly literal?: string;
}

/** One layer that the source makes. A call in a loop or in a class used twice makes several. */
export interface SourceLayer {
  /** Name of the module as PyTorch gives it ("layer1.0.conv1"), or the layer's own name. */
  readonly path: string;
  readonly type: string;
  /** The constructor as the file can name it ("nn.Conv2d"). */
  readonly callee: string;
  readonly call: Span;
  readonly slots: readonly Slot[];
  readonly arguments: readonly SourceArgument[];
  /** Index of the class instance whose constructor made it; undefined outside of one. */
  readonly owner?: number;
}

/** An instance of a class of the file. */
export interface SourceInstance {
  readonly className: string;
  /** The call that made it; undefined for the network itself when nothing in the file makes it. */
  readonly call?: Span;
  /** Where keyword arguments can be added to that call. */
  readonly argumentsEnd?: number;
  /** Arguments by parameter of the constructor. */
  readonly bound: ReadonlyMap<string, Span>;
}

export interface SourceClass {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly hasDefaults: boolean;
  /** Where parameters can be added to the constructor. */
  readonly parametersEnd: number;
  /** End of the constructor's last statement, and its indentation. */
  readonly bodyEnd: number;
  readonly indent: string;
}

/** The top of a file. */
export interface SourceHeader {
  /** End of the last import; 0 without one. */
  readonly end: number;
  /** What the file imports, defines and declares outside of functions. */
  readonly names: ReadonlySet<string>;
}

/** A network as the source makes it. */
export interface SourceNetwork {
  readonly framework: 'pytorch' | 'keras' | 'tfjs';
  /** Class or function that makes it. */
  readonly name: string;
  readonly layers: readonly SourceLayer[];
  readonly instances: readonly SourceInstance[];
  readonly classes: ReadonlyMap<string, SourceClass>;
  readonly header: SourceHeader;
  /** The `return Network(...)` of the function that makes it. */
  readonly returned?: { readonly statement: Span; readonly expression: string; readonly indent: string };
  /** What the source does that could not be followed. */
  readonly notes: readonly string[];
}

/** A replacement of `[start, end)`. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Applies edits that do not overlap; those at one place in the order given. */
export function applyEdits(source: string, edits: readonly TextEdit[]): string {
  const ordered = edits.map((edit, i) => ({ ...edit, i })).sort((a, b) => b.start - a.start || b.i - a.i);
  return ordered.reduce((text, { start, end, text: inserted }) => text.slice(0, start) + inserted + text.slice(end), source);
}
