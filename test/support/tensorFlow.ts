import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { TfjsRuntime } from '../../engine/runtime/tfjs/tfjsRuntime';

tf.enableProdMode();

/** The TensorFlow runtime on tfjs's own CPU backend. */
export const tensorFlow = new TfjsRuntime(tf, {
  package: '@tensorflow/tfjs-backend-cpu',
  version: tf.version_core,
  hardware: 'JavaScript',
});

/** Tensors and bytes that tfjs holds. */
export const held = (): { tensors: number; bytes: number } => {
  const { numTensors, numBytes } = tf.memory();
  return { tensors: numTensors, bytes: numBytes };
};
