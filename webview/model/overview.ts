import { formatBytes, formatCount, formatPercent } from '../../engine/contract/format';
import type { ModelState } from '../../engine/contract/page';
import { type Figure, element, figures, titleBlock } from '../shared/elements';

/** Name, size and cost of the network, with what they were before the plan. */
export function showOverview(host: HTMLElement, { file, summary, original, operations }: ModelState): void {
  const subtitle = `${summary.format} opset ${summary.opset} · ${summary.layers.length} layers · ${summary.groups.length} prunable groups`;
  const isCut = operations.some((o) => o.enabled);
  const figure = (name: string, now: number, before: number, format: (v: number) => string): Figure => ({
    name,
    value: format(now),
    ...(isCut && before !== now ? { detail: `${formatPercent(now / before)} of ${format(before)}` } : {}),
  });
  host.replaceChildren(
    titleBlock(file, subtitle),
    figures([
      figure('MACs', summary.totals.macs, original.macs, formatCount),
      figure('Parameters', summary.totals.parameters, original.parameters, formatCount),
      figure('File', summary.bytes, original.bytes, formatBytes),
      figure('Activations', summary.totals.activationBytes, original.activationBytes, formatBytes),
    ]),
  );
  for (const { node, op, reason } of summary.unsupported) host.append(element('p', 'unsupported', `${node} (${op}): ${reason}`));
}
