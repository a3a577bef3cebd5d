import type { Runtime } from '../../runtime/runtime';
import { openRuntime } from '../../runtime/onnxruntime/openRuntime';

let opened: Runtime | undefined;

/** The runtime of this process, opened when it is first needed. */
export function runtime(): Runtime {
  opened ??= openRuntime();
  return opened;
}
