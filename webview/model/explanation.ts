import { formatCount } from '../../engine/contract/format';
import type { GroupExplanation } from '../../engine/contract/pruning';
import { control } from '../controls/controls';
import { element } from '../shared/elements';

/** Why the layers of a group stay or go together, and what reads them. */
export function explanation(group: GroupExplanation, onClose: () => void): HTMLElement {
  const { id, layers, channels, links, readers, macsPerChannel, parametersPerChannel } = group;
  const box = element('div', 'explanation');
  box.setAttribute('role', 'region');
  box.setAttribute('aria-label', `Why the layers of ${id} belong together`);
  const close = control('vscode-button', { appearance: 'secondary', class: 'close-explanation' }, 'Close');
  close.addEventListener('click', onClose);
  const head = element('header');
  head.append(element('strong', '', layers.length > 1 ? `Why ${layers.length} layers go together: ${id}` : id), close);
  const cost = `Each of the ${channels} channels takes ${formatCount(macsPerChannel)} MACs and ${formatCount(parametersPerChannel)} parameters with it.`;
  const list = element('ul');
  for (const link of links) list.append(element('li', '', `${link.reason}.`));
  const alone = layers.length > 1 ? [] : [element('p', '', 'No other layer has these channels: they go one by one.')];
  const read =
    readers.length > 0 ? [element('p', '', `Read by ${readers.join(', ')}: each loses a slice of its weights with every channel.`)] : [];
  box.append(head, element('p', '', cost), ...alone, list, ...read);
  return box;
}
