import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/** Registers the toolkit's elements; the only place that knows the toolkit. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeProgressRing(),
    vsCodeTextField(),
  );
}

type ControlTag = 'vscode-button' | 'vscode-checkbox' | 'vscode-dropdown' | 'vscode-option' | 'vscode-progress-ring' | 'vscode-text-field';

/** A control with attributes; its value is that of a form field. */
export function control(
  tag: ControlTag,
  attributes: Readonly<Record<string, string>> = {},
  text = '',
): HTMLElement & { value: string; disabled: boolean } {
  const element = document.createElement(tag) as HTMLElement & { value: string; disabled: boolean };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

type Choices = readonly (readonly [value: string, text: string, ...unknown[]])[];

/** A choice of one from a list. */
export function dropdown(id: string, label: string, choices: Choices): HTMLElement & { value: string; disabled: boolean } {
  const made = control('vscode-dropdown', { id, 'aria-label': label });
  for (const [value, text] of choices) made.append(control('vscode-option', { value }, text));
  return made;
}

/** A short text field, for a number or a few. */
export function textField(id: string, label: string, value: string, size = 10): HTMLElement & { value: string; disabled: boolean } {
  const made = control('vscode-text-field', { id, 'aria-label': label, size: String(size) });
  made.value = value;
  return made;
}

export function checkbox(id: string, text: string): HTMLElement & { checked: boolean } {
  return control('vscode-checkbox', { id }, text) as unknown as HTMLElement & { checked: boolean };
}

/** The number in a field; the error names the field. */
export function numberIn(text: string, name: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new Error(`${name}: “${text}” is not a number`);
  return value;
}
