import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { findTensorFlow } from '../../engine/runtime/tfjs/findTensorFlow';
import { TfjsRuntime, openTensorFlow } from '../../engine/runtime/tfjs/tfjsRuntime';

tf.enableProdMode();

/** The TensorFlow runtime on tfjs's own CPU backend. */
export const tensorFlow = new TfjsRuntime(tf, {
  package: '@tensorflow/tfjs-backend-cpu',
  version: tf.version_core,
  hardware: 'JavaScript',
});

/** The same with WebAssembly. tfjs has one active backend: `useCpu` is to follow. */
export const openWebAssembly = (): Promise<TfjsRuntime> =>
  openTensorFlow(findTensorFlow([process.cwd()]).filter((installation) => installation.package.endsWith('-wasm')));

export const useCpu = (): Promise<boolean> => tf.setBackend('cpu');

/** Tensors and bytes that tfjs holds. */
export const held = (): { tensors: number; bytes: number } => {
  const { numTensors, numBytes } = tf.memory();
  return { tensors: numTensors, bytes: numBytes };
};
