import type { Runtime } from '../runtime';
import { CRuntime } from './cRuntime';
import { openEnvironment } from './environment';
import { JsRuntime } from './jsRuntime';

export type RuntimePreference = 'c-api' | 'js' | 'auto';

/**
 * onnxruntime behind the engine's interface: through its C API where that is possible, else through its JavaScript binding, with the reason
 * given to `log`.
 * @throws SurgeryError 'runtime-failed' when the platform has neither, or not the one asked for.
 */
export function openRuntime(preference: RuntimePreference = 'auto', log: (message: string) => void = console.error): Runtime {
  if (preference === 'c-api') return new CRuntime();
  try {
    if (preference === 'auto') return new CRuntime();
    openEnvironment();
  } catch (error) {
    if (preference === 'auto') log(`onnxruntime's JavaScript binding is used, which is slower: ${(error as Error).message}`);
  }
  return new JsRuntime();
}
