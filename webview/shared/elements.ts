/** A new element with a class and text. */
export function element<K extends keyof HTMLElementTagNameMap>(tag: K, className = '', text = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

/** A form field under its name. */
export function labelled(text: string, field: HTMLElement): HTMLElement {
  const wrapper = element('label', 'field');
  wrapper.append(element('span', 'field-name', text), field);
  return wrapper;
}

/** The page's title with a line below. */
export function titleBlock(title: string, subtitle: string): HTMLElement {
  const block = element('div', 'title');
  block.append(element('h1', '', title), element('span', 'subtitle', subtitle));
  return block;
}

export interface Figure {
  readonly name: string;
  readonly value: string;
  readonly detail?: string;
  readonly id?: string;
  /** Not exact yet: shown fainter. */
  readonly isEstimate?: boolean;
}

/** A row of named numbers. */
export const figures = (shown: readonly Figure[], className = ''): HTMLElement => new Figures(shown, className).element;

/** The same, of which what changes is written into the elements that are there. */
export class Figures {
  readonly element: HTMLElement;
  private readonly boxes: { readonly value: HTMLElement; readonly detail: HTMLElement }[] = [];

  constructor(shown: readonly Figure[], className = '') {
    this.element = element('dl', `figures ${className}`.trim());
    for (const { name, id } of shown) {
      const box = element('div', 'figure');
      const [value, detail] = [element('dd'), element('span', 'was')];
      if (id) value.id = id;
      box.append(element('dt', '', name), value, detail);
      this.element.append(box);
      this.boxes.push({ value, detail });
    }
    this.show(shown);
  }

  /** @param shown as many as there were in the beginning, of the same names */
  show(shown: readonly Omit<Figure, 'name' | 'id'>[]): void {
    this.boxes.forEach(({ value, detail }, i) => {
      setText(value, shown[i]?.value ?? '');
      setText(detail, shown[i]?.detail ?? ' ');
      value.classList.toggle('estimate', shown[i]?.isEstimate === true);
    });
  }
}

/** Replaces the text of an element that holds nothing else, where it is another: the node stays, so that less is laid out again. */
export function setText(host: HTMLElement, text: string): void {
  const node = host.firstChild;
  if (!(node instanceof Text)) host.textContent = text;
  else if (node.data !== text) node.data = text;
}

/** The line that tells what goes on or went wrong; screen readers hear it. */
export class Notice {
  readonly element = element('div', 'notice');

  constructor() {
    this.element.setAttribute('role', 'status');
  }

  show(message: string, kind: 'info' | 'error' = 'info'): void {
    this.element.classList.toggle('error', kind === 'error');
    this.element.textContent = message;
  }
}
