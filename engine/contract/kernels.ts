/** Milliseconds of the formulations of one job for one shape of convolution, as measured on this machine. */
export interface FormulationTimes {
  readonly job: string;
  /** "batch 32, 16 to 16 channels, 32x32, 3x3, stride 1". */
  readonly shape: string;
  readonly times: Readonly<Record<string, number>>;
  readonly fastest: string;
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

export interface KernelRequests {
  /** Times formulations and channel counts, for the shapes of a model or a standard list, and keeps the result. */
  'kernels/calibrate': { params: { job: string; path?: string; batch?: number }; result: KernelReport };
}

/** The report as a Markdown document. */
export function describeKernels({ runtime, file, seconds, formulations, channels, granularity }: KernelReport): string {
  const rows = formulations.map(({ job, shape, times, fastest }) => {
    const list = Object.entries(times).sort((a, b) => a[1] - b[1]);
    return `| ${shape} | ${job} | ${fastest} | ${list.map(([name, ms]) => `${name} ${ms.toFixed(2)}`).join(', ')} |`;
  });
  const sweep = channels.filter(({ channels: n }) => n % 4 === 0).map(({ channels: n, ms }) => `${n}: ${ms.toFixed(2)}`);
  return [
    `# Kernels of ${runtime}`,
    '',
    `Measured in ${seconds.toFixed(1)} s, processor time of one thread, kept in ${file}; training uses the fastest formulation of the nearest shape.`,
    '',
    '| convolution | job | fastest | milliseconds |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `Two 3x3 convolutions by channels, milliseconds: ${sweep.join(', ')}.`,
    granularity > 1
      ? `Channel counts can be rounded up to multiples of ${granularity} at no measurable cost (\`--round-to auto\`).`
      : 'Every channel costs time here; `--round-to auto` rounds nothing.',
  ].join('\n');
}
