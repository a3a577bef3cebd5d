const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export interface ByteTicks {
  readonly ticks: readonly number[];
  readonly unit: string;
  readonly format: (bytes: number) => string;
}

/** Round numbers of bytes from zero up to `top`, and how they are written: in one unit, which the axis names. */
export function byteTicks(top: number, count: number): ByteTicks {
  const power = Math.max(0, Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, top)) / 10)));
  const unit = 1024 ** power;
  const rough = top / Math.max(1, count) / unit;
  const base = 2 ** Math.floor(Math.log2(rough));
  const step = (rough > 1.5 * base ? 2 * base : rough > base ? 1.5 * base : base) * unit;
  const even = power === 0 ? Math.max(1, Math.round(step)) : step;
  const ticks: number[] = [];
  for (let tick = 0; tick <= top; tick += even) ticks.push(tick);
  return { ticks, unit: UNITS[power] ?? 'B', format: (bytes) => String(Number((bytes / unit).toPrecision(3))) };
}
