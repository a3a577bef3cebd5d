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
export function figures(shown: readonly Figure[], className = ''): HTMLElement {
  const list = element('dl', `figures ${className}`.trim());
  for (const { name, value, detail, id, isEstimate } of shown) {
    const box = element('div', 'figure');
    const number = element('dd', isEstimate ? 'estimate' : '', value);
    if (id) number.id = id;
    box.append(element('dt', '', name), number, element('span', 'was', detail ?? ' '));
    list.append(box);
  }
  return list;
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
