import type { FeatureMaps } from '../../engine/contract/noise';
import { formatPercent } from '../../engine/contract/format';
import { element } from '../shared/elements';

const ROWS = [
  ['clean', 'Without noise'],
  ['noisy', 'With noise'],
  ['difference', 'Difference'],
] as const;

/** Channels of one layer side by side: without noise, with noise, and what the noise changed. */
export function drawFeatureMaps(host: HTMLElement, models: readonly { readonly name: string; readonly maps: FeatureMaps }[]): void {
  host.replaceChildren(
    ...models.map(({ name, maps }) => {
      const figure = element('figure', 'maps');
      const strength = maps.noise[maps.layer];
      const told = strength === undefined ? '' : ` · noise ${strength.toPrecision(2)} (root mean square)`;
      figure.append(element('figcaption', '', `${name} · ${maps.layer} · class ${maps.label}${told}`));
      const grid = element('div', 'map-grid');
      grid.style.setProperty('--columns', String(maps.channels.length));
      for (const [key, title] of ROWS) {
        grid.append(element('span', 'row-name', title));
        maps.channels.forEach((channel, c) => {
          const cell = picture(channel[key], maps, `${title}, channel ${c}`);
          if (key === 'difference') cell.title = `Largest difference ${formatPercent(channel.largest)} of the channel's range`;
          grid.append(cell);
        });
      }
      figure.append(grid);
      return figure;
    }),
  );
}

function picture(bytes: string, { width, height }: FeatureMaps, label: string): HTMLCanvasElement {
  const canvas = element('canvas', 'map');
  [canvas.width, canvas.height] = [width, height];
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', label);
  const context = canvas.getContext('2d');
  if (!context) return canvas;
  const image = context.createImageData(width, height);
  const greys = atob(bytes);
  for (let i = 0; i < greys.length; i++) {
    const grey = greys.charCodeAt(i);
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
