/** 1234567 as "1.23 M". */
export function formatCount(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  const step = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${step === 0 ? String(Math.round(value)) : (value / 1000 ** step).toPrecision(3)}${units[step] ?? ''}`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const step = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step] ?? 'B'}`;
}

export const formatPercent = (value: number): string => `${(100 * value).toFixed(1)} %`;
