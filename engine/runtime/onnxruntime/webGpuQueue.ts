import { RunQueue } from '../runQueue';

const queue = new RunQueue('The GPU');

/**
 * Whatever touches the GPU goes through here, one at a time in the order of asking: onnxruntime's WebGPU provider crashes when two sessions work
 * at once (microsoft/onnxruntime #31627, #32561).
 */
export const onWebGpu = <T>(task: () => Promise<T>): Promise<T> => queue.add(task);

/** Releases something of the GPU's when its turn comes. */
export function releaseOnWebGpu(release: () => void): void {
  void onWebGpu(() => {
    release();
    return Promise.resolve();
  });
}
