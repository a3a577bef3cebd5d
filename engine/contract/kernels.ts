/** Milliseconds of the formulations of one job for one shape of convolution, as measured on this machine. */
export interface FormulationTimes {
  readonly job: string;
  /** "batch 32, 16 to 16 channels, 32x32, 3x3, stride 1". */
  readonly shape: string;
  readonly times: Readonly<Record<string, number>>;
  readonly fastest: string;
  /** What training takes from now on, and what the built-in rules take: the former differs only where it is clearly faster. */
  readonly chosen: string;
  readonly usual: string;
}

export interface KernelReport {
  readonly runtime: string;
  /** Where the measurements are kept. */
  readonly file: string;
  readonly seconds: number;
  readonly formulations: readonly FormulationTimes[];
  /** Milliseconds of two 3x3 convolutions by their number of channels. */
  readonly channels: readonly { readonly channels: number; readonly ms: number }[];
  /** Multiples to which channel counts can be rounded up at no measurable cost: what `--round-to auto` uses. */
  readonly granularity: number;
}

/** Where the formulations come from: 'fixed' where the runtime has no choice. */
export type KernelChoice = 'measured' | 'built-in' | 'fixed';

export interface KernelRequests {
  'kernels/choice': { params: Record<string, never>; result: KernelChoice };
  /** Times formulations and channel counts, for the shapes of a model or a standard list, and keeps the result. */
  'kernels/calibrate': { params: { job: string; path?: string; batch?: number }; result: KernelReport };
}

/** The report in one sentence. */
export function summariseKernels({ seconds, formulations, granularity }: KernelReport): string {
  const changed = formulations.filter(({ chosen, usual }) => chosen !== usual).length;
  const free = granularity > 1 ? `multiples of ${granularity} channels are free` : 'every channel costs time';
  return `Kernels measured in ${seconds.toFixed(0)} s: ${changed} of ${formulations.length} choices differ from the built-in ones; ${free}.`;
}

/** The report as a Markdown document. */
export function describeKernels({ runtime, file, seconds, formulations, channels, granularity }: KernelReport): string {
  const rows = formulations.map(({ job, shape, times, chosen, usual }) => {
    const list = Object.entries(times).sort((a, b) => a[1] - b[1]);
    return `| ${shape} | ${job} | ${chosen}${chosen === usual ? '' : ` (built in: ${usual})`} | ${list.map(([name, ms]) => `${name} ${ms.toFixed(2)}`).join(', ')} |`;
  });
  const sweep = channels.filter(({ channels: n }) => n % 4 === 0).map(({ channels: n, ms }) => `${n}: ${ms.toFixed(2)}`);
  return [
    `# Kernels of ${runtime}`,
    '',
    `Measured in ${seconds.toFixed(1)} s, processor time of one thread, kept in ${file}; training uses the fastest formulation of the nearest shape where it saves a tenth of the built-in one's time.`,
    '',
    '| convolution | job | chosen | milliseconds |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `Two 3x3 convolutions by channels, milliseconds: ${sweep.join(', ')}.`,
    granularity > 1
      ? `Channel counts can be rounded up to multiples of ${granularity} at no measurable cost (\`--round-to auto\`).`
      : 'Every channel costs time here; `--round-to auto` rounds nothing.',
  ].join('\n');
}
