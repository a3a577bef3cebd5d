import { readFileSync } from 'node:fs';
import path from 'node:path';

/** A class or function of a template, with the names it stands on. */
interface Unit {
  readonly name: string;
  readonly text: string;
}

/** Source of classes that stand for layers in block-term form, to be written into the file of a network. */
export class Template {
  private readonly imports: readonly Unit[];
  private readonly units: readonly Unit[];

  constructor(text: string) {
    const [header = '', ...parts] = text.split(/^(?=(?:\/\*\*[^\n]*\n)?(?:class|def|function|interface) )/m);
    this.imports = header.split('\n').flatMap((line) => (line.trim() ? [{ name: line.match(/(\w+)(?: from .*)?;?$/)?.[1] ?? '', text: line }] : [])); // prettier-ignore
    this.units = parts.map((part) => ({ name: /^(?:class|def|function|interface) (\w+)/m.exec(part)?.[1] ?? '', text: part.trimEnd() }));
  }

  /** @param folder holds the templates of the extension */
  static load(folder: string, file: 'pytorch.py' | 'keras.py' | 'tfjs.ts' | 'tfjs.js'): Template {
    return new Template(readFileSync(path.join(folder, 'templates', file), 'utf8'));
  }

  /** Imports, and the classes with all that they stand on, in the template's order; without what the file has. */
  textFor(names: readonly string[], known: ReadonlySet<string>): { imports: string[]; units: string[] } {
    const wanted = new Set<string>();
    const visit = (name: string): void => {
      const unit = this.units.find((u) => u.name === name);
      if (!unit || wanted.has(name)) return;
      wanted.add(name);
      for (const other of this.units) if (other !== unit && mentions(unit.text, other.name)) visit(other.name);
    };
    names.forEach(visit);
    const units = this.units.filter((u) => wanted.has(u.name) && !known.has(u.name)).map((u) => u.text);
    const imports = this.imports.filter((i) => !known.has(i.name) && units.some((text) => mentions(text, i.name))).map((i) => i.text);
    return { imports, units };
  }
}

const mentions = (text: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(text.replace(/^class \w+/, 'class'));
