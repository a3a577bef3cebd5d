import { sum } from 'd3';
import type { BlockTermChoice } from '../../engine/contract/decomposition';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { seriesColour } from '../shared/chart';
import { element } from '../shared/elements';

const SVG = 'http://www.w3.org/2000/svg';
/** Room for the boxes, and below them for two lines of names. */
const ROOM = 112;
const NAMES = 40;
const GAP = 26;
const STEP = 5;
const MOST_DRAWN = 4;
/** Lengths grow with the size, but slower, so that 2 and 200 can stand side by side. */
const lengthOf = (size: number): number => 2 + Math.sqrt(size);

interface Part {
  readonly name: string;
  readonly parameters: number;
  readonly colour: string;
}

/**
 * The form drawn: one box for every factor (I_k high, J_k wide, R_k deep), the core, blocks behind one another, and below it a bar
 * that says to scale where the parameters are.
 */
export function drawShape(host: HTMLElement, choice: BlockTermChoice, window = 1): void {
  const { blocks } = choice;
  const boxes = boxesOf(choice, window);
  const stack = STEP * (Math.min(blocks, MOST_DRAWN) - 1);
  const scale = Math.min(14, (ROOM - stack) / Math.max(...boxes.map((b) => b.high + DEPTH * b.deep)), 110 / Math.max(...boxes.map((b) => b.wide))); // prettier-ignore
  const svg = document.createElementNS(SVG, 'svg');
  let x = 4;
  boxes.forEach((box, i) => {
    if (i > 0) svg.append(caption(x + GAP / 2, ROOM / 2 + 6, '×', 'operator'));
    x = drawBox(svg, box, i > 0 ? x + GAP : x, scale, blocks);
  });
  const text = blocks === 1 ? 'One block' : `${blocks} blocks, added up`;
  svg.setAttribute('width', String(x + 4));
  svg.setAttribute('height', String(ROOM + NAMES));
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${text}: ${boxes.map((b) => `${b.name} ${b.label}`).join(', ')}`);
  const scroll = element('div', 'diagram');
  scroll.append(svg);
  const note = `${text}. Input modes run down, output modes across, ranks into the depth; the bar shows where the parameters are.`;
  host.replaceChildren(scroll, shareBar(partsOf(choice, window)), element('p', 'note', note));
}

/** How far a unit of depth goes to the right and up. */
const DEPTH = 0.5;

interface Box {
  readonly name: string;
  readonly label: string;
  readonly high: number;
  readonly wide: number;
  readonly deep: number;
  readonly colour: string;
}

function boxesOf({ inputModes, outputModes, ranks }: BlockTermChoice, window: number): Box[] {
  const box = (name: string, sizes: readonly [number, number, number], label: string, colour: string): Box => {
    const [high, wide, deep] = sizes;
    return { name, label, high: lengthOf(high), wide: lengthOf(wide), deep: deep > 1 ? lengthOf(deep) : 0, colour };
  };
  const [factorColour, coreColour] = [seriesColour(0), seriesColour(1)];
  const [i = 1] = inputModes;
  const [j = 1] = outputModes;
  const [r = 1, q = 1, ...rest] = ranks;
  if (window > 1)
    return [
      box('Reduce 1×1', [i, r, 1], `${i}×${r}`, factorColour),
      box('Core', [r, q, window], `${r}×${q}×${window}`, coreColour),
      box('Expand 1×1', [q, j, 1], `${q}×${j}`, factorColour),
    ];
  const depth = rest.reduce((a, b) => a * b, 1);
  return [
    box('Core', [r, q, depth], ranks.join('×'), coreColour),
    ...inputModes.map((mode, k) => {
      const sizes = [mode, outputModes[k] ?? 1, ranks[k] ?? 1] as const;
      return box(`Factor ${k + 1}`, sizes, sizes.join('×'), factorColour);
    }),
  ];
}

/** @returns where the box and its names end */
function drawBox(svg: SVGElement, { name, label, colour, ...sizes }: Box, x: number, scale: number, blocks: number): number {
  const [high, wide, deep] = [sizes.high * scale, sizes.wide * scale, DEPTH * sizes.deep * scale];
  const drawn = Math.min(blocks, MOST_DRAWN);
  const stack = STEP * (drawn - 1);
  const whole = wide + deep + stack;
  const full = Math.max(whole, 6.4 * Math.max(name.length, label.length));
  const left = x + (full - whole) / 2;
  const top = (ROOM - high - deep - stack) / 2 + deep + stack;
  for (let n = drawn - 1; n >= 0; n--) cuboid(svg, left + STEP * n, top - STEP * n, [wide, high, deep], colour);
  svg.append(caption(x + full / 2, ROOM + 18, name, 'box-name'), caption(x + full / 2, ROOM + 34, label, 'box-size'));
  return x + full;
}

function cuboid(svg: SVGElement, x: number, y: number, [wide, high, d]: readonly [number, number, number], colour: string): void {
  const face = (className: string, ...points: readonly (readonly [number, number])[]): void => {
    const polygon = document.createElementNS(SVG, 'polygon');
    polygon.setAttribute('points', points.map((p) => p.join(',')).join(' '));
    polygon.setAttribute('class', `face ${className}`);
    polygon.style.setProperty('--colour', colour);
    svg.append(polygon);
  };
  const [right, bottom] = [x + wide, y + high];
  if (d > 0) {
    face('top', [x, y], [x + d, y - d], [right + d, y - d], [right, y]);
    face('flank', [right, y], [right + d, y - d], [right + d, bottom - d], [right, bottom]);
  }
  face('near', [x, y], [right, y], [right, bottom], [x, bottom]);
}

function caption(x: number, y: number, text: string, className: string): SVGTextElement {
  const made = document.createElementNS(SVG, 'text');
  made.setAttribute('x', String(x));
  made.setAttribute('y', String(y));
  made.setAttribute('text-anchor', 'middle');
  made.setAttribute('class', className);
  made.textContent = text;
  return made;
}

function partsOf({ inputModes, outputModes, ranks, blocks }: BlockTermChoice, window: number): Part[] {
  if (window > 1) {
    const [[inputs = 1], [outputs = 1], [r = 1, q = r]] = [inputModes, outputModes, ranks];
    return [
      { name: 'Reduce', parameters: blocks * inputs * r, colour: seriesColour(0) },
      { name: 'Core', parameters: blocks * r * q * window, colour: seriesColour(1) },
      { name: 'Expand', parameters: blocks * q * outputs, colour: seriesColour(0) },
    ];
  }
  const core = blocks * ranks.reduce((a, b) => a * b, 1);
  const factors = inputModes.map((i, k) => blocks * i * (outputModes[k] ?? 1) * (ranks[k] ?? 1));
  return [
    { name: 'Core', parameters: core, colour: seriesColour(1) },
    ...factors.map((parameters, k) => ({ name: `Factor ${k + 1}`, parameters, colour: seriesColour(0) })),
  ];
}

function shareBar(parts: readonly Part[]): HTMLElement {
  const whole = sum(parts, (p) => p.parameters);
  const bar = element('div', 'share-bar');
  bar.setAttribute('role', 'img');
  bar.setAttribute('aria-label', `Where the ${formatCount(whole)} parameters are`);
  for (const { name, parameters, colour } of parts) {
    const part = element('span', 'share-part');
    part.style.flexGrow = String(parameters);
    part.style.setProperty('--colour', colour);
    part.title = `${name}: ${formatCount(parameters)} parameters, ${formatPercent(parameters / whole)}`;
    if (parameters / whole > 0.12) part.append(element('span', '', `${name} ${formatPercent(parameters / whole, 0)}`));
    bar.append(part);
  }
  return bar;
}
