/** 1234567 as "1.23 M". */
export function formatCount(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  const step = value < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${step === 0 ? String(Math.round(value)) : (value / 1000 ** step).toPrecision(3)}${units[step] ?? ''}`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step] ?? 'B'}`;
}

/** 0.5 as "50.0 %". */
export const formatPercent = (value: number, digits = 1): string => `${(100 * value).toFixed(digits)} %`;

/** 75 seconds as "1 min 15 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A change with its sign: 0.123 as "+0.12". */
export const formatChange = (value: number): string => `${value > 0 ? '+' : ''}${value.toPrecision(2)}`;

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TB: 1e12,
  TIB: 2 ** 40,
};

/** Whole bytes of "512MiB", "1.5 GB" or "1000000"; undefined when it is no size above zero. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+\.?\d*|\.\d+)\s*([KMGT]?I?B?)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (BYTES[unit.toUpperCase()] ?? NaN));
  return bytes > 0 ? bytes : undefined;
}
