import { line, scaleLinear, scaleLog, select } from 'd3';
import type { LayerRanks } from '../../engine/contract/decomposition';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { bestChoices, formatRatio } from '../../engine/contract/rankChoices';
import type { RankedLayer } from '../../engine/contract/ranksPage';
import type { RankCandidate } from '../../engine/contract/decomposition';

const TARGETS = [2, 4, 10, 30];
const [WIDTH, HEIGHT] = [84, 26];

/** All layers beside each other: their curve in small and the least error at 2, 4, 10 and 30 times fewer parameters. */
export function drawComparison(
  host: HTMLElement,
  layers: readonly RankedLayer[],
  choose: (layer: string, candidate?: RankCandidate) => void,
): void {
  const table = select(host).selectAll<HTMLTableElement, null>('table').data([null]).join('table');
  table.selectAll('*').remove();
  const header = table.append('thead').append('tr');
  for (const name of ['Layer', 'Parameters', 'Error by size']) header.append('th').attr('class', name === 'Parameters' ? 'number' : '').text(name); // prettier-ignore
  for (const target of TARGETS) header.append('th').attr('class', 'number').text(`${target}× fewer`);
  const rows = table.append('tbody').selectAll('tr').data(layers).join('tr').attr('data-layer', (d) => d.layer); // prettier-ignore
  rows
    .append('td')
    .attr('class', 'name')
    .append('button')
    .attr('type', 'button')
    .attr('class', 'link')
    .attr('title', (d) => d.layer)
    .text((d) => d.layer)
    .on('click', (_event, d) => choose(d.layer));
  rows
    .append('td')
    .attr('class', 'number')
    .text((d) => formatCount(d.parameters));
  rows.append('td').each(function ({ ranks }) {
    if (ranks) drawCurve(this, ranks);
    else this.textContent = '–';
  });
  for (const target of TARGETS) drawTarget(rows.append('td').attr('class', 'number').nodes(), layers, target, choose);
}

function drawTarget(
  cells: readonly (HTMLTableCellElement | null)[],
  layers: readonly RankedLayer[],
  target: number,
  choose: (layer: string, candidate?: RankCandidate) => void,
): void {
  cells.forEach((cell, i) => {
    const layer = layers[i];
    const best = layer?.ranks && bestChoices(layer.ranks).findLast((b) => b.target <= target && b.ratio >= target);
    if (!cell || !layer) return;
    if (!best) {
      cell.textContent = '–';
      return;
    }
    select(cell)
      .append('button')
      .attr('type', 'button')
      .attr('class', 'link')
      .attr('title', `${formatRatio(best.ratio)} times fewer parameters; show it`)
      .text(formatPercent(best.candidate.error))
      .on('click', () => choose(layer.layer, best.candidate));
  });
}

/** The lower envelope of error against parameters, up to the dense layer. */
function drawCurve(host: HTMLElement, { candidates, denseParameters, layer }: LayerRanks): void {
  const smallest = Math.min(denseParameters / 100, ...candidates.map((c) => c.parameters));
  const x = scaleLog([smallest, denseParameters], [2, WIDTH - 2]);
  const y = scaleLinear([0, 1], [HEIGHT - 2, 2]);
  let least = Infinity;
  const front = candidates.filter((c) => c.error < least && (least = c.error) >= 0);
  const points: (readonly [number, number])[] = [...front.map((c): [number, number] => [c.parameters, c.error]), [denseParameters, 0]];
  const path = line<readonly [number, number]>(
    (p) => x(p[0]),
    (p) => y(p[1]),
  );
  const svg = select(host).append('svg').attr('class', 'sparkline').attr('width', WIDTH).attr('height', HEIGHT).attr('role', 'img');
  svg.attr('aria-label', `Error of ${layer} from ${formatCount(smallest)} to ${formatCount(denseParameters)} parameters`);
  svg.append('line').attr('class', 'baseline').attr('x2', WIDTH).attr('y1', HEIGHT - 1).attr('y2', HEIGHT - 1); // prettier-ignore
  svg.append('path').attr('class', 'series').attr('d', path(points));
}
