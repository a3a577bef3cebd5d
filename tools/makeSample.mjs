/** Makes the sample model with our own engine: a small ResNet that knows the generated shapes. Run after a build. */
import path from 'node:path';
import { execute, root } from './install.mjs';

export const SAMPLE_DATA = 'generated:shapes?classes=10&size=32&seed=1';

const cli = (...args) => execute(process.execPath, [path.join(root, 'dist/cli.js'), ...args]);
const model = path.join(root, 'sample/shapes-resnet8.onnx');

cli('create', 'resnet8', '--input', '3,32,32', '--classes', '10', '--shortcut', 'conv', '--seed', '1', '-o', model);
cli('train', model, '--data', SAMPLE_DATA, '--epochs', '8', '--batch', '64', '--lr', '0.1', '--seed', '1', '-o', model);
cli('evaluate', model, '--data', SAMPLE_DATA);
