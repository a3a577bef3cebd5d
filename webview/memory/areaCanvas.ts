import type { MemoryKind } from '../../engine/contract/memory';
import { columnsOf } from './columns';
import type { Timeline } from './timeline';

/** Where things lie, in css pixels of the chart. */
export interface PlotLayout {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** Lane of what is away from the pool; none when nothing ever leaves. */
  readonly lane?: { readonly top: number; readonly bottom: number };
}

/** What part of the iteration is shown, and how many bytes high the plot is. */
export interface Scope {
  readonly from: number;
  readonly to: number;
  readonly top: number;
}

/** Columns in a row that show one step. */
interface Run {
  readonly x: number;
  readonly width: number;
  readonly step: number;
}

/** Above the plot. */
const STRIP = { offset: 6, height: 4 };
const HATCH = 6;

/** Draws the stacked areas, the strip of phases over them and the lane of what is away, one column for each device pixel. */
export function drawAreas(canvas: HTMLCanvasElement, timeline: Timeline, layout: PlotLayout, { from, to, top }: Scope): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(layout.width * ratio);
  canvas.height = Math.round(layout.height * ratio);
  const context = canvas.getContext('2d');
  if (!context || timeline.length === 0) return;
  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim() || '#888';
  const left = Math.round(layout.left * ratio);
  const width = Math.max(1, Math.round(layout.right * ratio) - left);
  const runsOf = (values: ArrayLike<number>): Run[] => runs(columnsOf(values, from, to, width), left);
  const y = (bytes: number): number => Math.round((layout.bottom - ((layout.bottom - layout.top) * bytes) / top) * ratio);
  for (const { x, width: wide, step } of runsOf(timeline.totals)) {
    let below = 0;
    for (const kind of timeline.kinds) {
      const above = below + timeline.bytes(kind, step);
      context.fillStyle = colour(`kind-${kind}`);
      context.fillRect(x, y(above), wide, y(below) - y(above));
      below = above;
    }
  }
  const stripTop = Math.round((layout.top - STRIP.offset) * ratio);
  const stripHeight = Math.round(STRIP.height * ratio);
  const again = Float64Array.from(timeline.totals, (_, step) => Number(timeline.phase(step) === 'recompute'));
  for (const { x, width: wide, step } of runsOf(again)) {
    context.fillStyle = colour(`phase-${timeline.phase(step)}`);
    context.fillRect(x, stripTop, wide, stripHeight);
  }
  if (layout.lane) drawLane(context, timeline, layout.lane, runsOf(timeline.offloaded), ratio, colour('offloaded'));
}

/** Hatched and hanging from its upper edge: these bytes are not in the pool. */
function drawLane(
  context: CanvasRenderingContext2D,
  { offloaded, mostOffloaded }: Timeline,
  lane: NonNullable<PlotLayout['lane']>,
  shown: readonly Run[],
  ratio: number,
  colour: string,
): void {
  const [top, bottom] = [Math.round(lane.top * ratio), Math.round(lane.bottom * ratio)];
  context.fillStyle = hatch(context, colour, ratio);
  for (const { x, width, step } of shown)
    context.fillRect(x, top, width, Math.round(((bottom - top) * (offloaded[step] ?? 0)) / Math.max(1, mostOffloaded)));
}

function hatch(context: CanvasRenderingContext2D, colour: string, ratio: number): CanvasPattern | string {
  const size = Math.round(HATCH * ratio);
  const tile = document.createElement('canvas');
  [tile.width, tile.height] = [size, size];
  const lines = tile.getContext('2d');
  if (!lines) return colour;
  lines.strokeStyle = colour;
  lines.lineWidth = 1.4 * ratio;
  for (const shift of [-size, 0, size]) {
    lines.moveTo(shift, size);
    lines.lineTo(shift + size, 0);
  }
  lines.stroke();
  return context.createPattern(tile, 'repeat') ?? colour;
}

function runs(columns: Int32Array, left: number): Run[] {
  const found: Run[] = [];
  for (let start = 0; start < columns.length;) {
    let end = start + 1;
    while (end < columns.length && columns[end] === columns[start]) end++;
    found.push({ x: left + start, width: end - start, step: columns[start] ?? 0 });
    start = end;
  }
  return found;
}

export const kindColour = (kind: MemoryKind): string => `var(--kind-${kind})`;
