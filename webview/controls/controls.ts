import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/** Registers the toolkit's elements; the only place that knows the toolkit. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(vsCodeButton(), vsCodeDropdown(), vsCodeOption(), vsCodeProgressRing(), vsCodeTextField());
}

type ControlTag = 'vscode-button' | 'vscode-dropdown' | 'vscode-option' | 'vscode-progress-ring' | 'vscode-text-field';

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
