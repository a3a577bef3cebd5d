import { readFileSync, rmSync } from 'node:fs';

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds. */
  readonly dur?: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

interface KernelTime {
  readonly op: string;
  readonly provider: string;
  readonly ms: number;
}

/** The kernels that onnxruntime's profiler saw, in order; its file is removed. */
function readKernels(file: string): KernelTime[] {
  const events = JSON.parse(readFileSync(file, 'utf8')) as ProfileEvent[];
  rmSync(file, { force: true });
  return events.flatMap(({ cat, name, dur = 0, args }) =>
    cat === 'Node' && name?.endsWith('_kernel_time') && args?.op_name && !args.op_name.startsWith('Memcpy')
      ? [{ op: args.op_name, provider: args.provider ?? '', ms: dur / 1000 }]
      : [],
  );
}

/** Milliseconds by operator type. */
export function readProfile(file: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const { op, ms } of readKernels(file)) times.set(op, (times.get(op) ?? 0) + ms);
  return times;
}

/** One sentence on what a device's provider left to the processor in a run of some sessions; undefined when it left nothing. */
export function describeFallback(files: readonly string[], label: string): string | undefined {
  const kernels = files.flatMap(readKernels);
  const left = kernels.filter(({ provider }) => provider === 'CPUExecutionProvider');
  if (left.length === 0) return undefined;
  const counts = new Map<string, number>();
  for (const { op } of left) counts.set(op, (counts.get(op) ?? 0) + 1);
  const names = [...counts].sort((a, b) => b[1] - a[1]).map(([op, count]) => (count === 1 ? op : `${op} ×${count}`));
  const ms = left.reduce((sum, k) => sum + k.ms, 0);
  return `${label}: ${left.length} of ${kernels.length} operators run on the processor (${ms.toFixed(1)} ms in the first run), because the device has no kernel for them: ${names.join(', ')}`;
}
