import { readFileSync, rmSync } from 'node:fs';

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds. */
  readonly dur?: number;
  readonly args?: { readonly op_name?: string };
}

/** Milliseconds by operator type, from the file that onnxruntime's profiler wrote; the file is removed. */
export function readProfile(file: string): Map<string, number> {
  const events = JSON.parse(readFileSync(file, 'utf8')) as ProfileEvent[];
  rmSync(file, { force: true });
  const times = new Map<string, number>();
  for (const { cat, name, dur = 0, args } of events) {
    if (cat !== 'Node' || !name?.endsWith('_kernel_time') || !args?.op_name) continue;
    times.set(args.op_name, (times.get(args.op_name) ?? 0) + dur / 1000);
  }
  return times;
}
