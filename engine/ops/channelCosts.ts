/** Milliseconds of a convolution by its number of channels, the same in and out. */
export type ChannelCosts = readonly { readonly channels: number; readonly ms: number }[];

const GRANULARITIES = [16, 8, 4, 2];
/** Rounding up may cost this much on average before it is said to be free. */
const FREE = 0.05;

/** The largest multiple to which channel counts can be rounded up at no measurable cost; 1 where every channel costs. */
export function kernelGranularity(costs: ChannelCosts): number {
  const times = new Map(costs.map(({ channels, ms }) => [channels, ms]));
  const found = GRANULARITIES.find((g) => {
    const ratios = costs.flatMap(({ channels, ms }) => {
      const whole = times.get(Math.ceil(channels / g) * g);
      return channels % g === 0 || whole === undefined ? [] : [whole / ms];
    });
    return ratios.length > 0 && ratios.reduce((sum, r) => sum + r, 0) / ratios.length <= 1 + FREE;
  });
  return found ?? 1;
}
