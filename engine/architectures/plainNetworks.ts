import type { ArchitectureOptions } from './createModel';
import { Layers } from './layers';

const VGG16 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0];

/** VGG-16 with batch norm (0 is a pool). Small images get one linear layer, images from 224 on torchvision's three. */
export function vgg16({ input, classes, seed }: ArchitectureOptions) {
  const net = new Layers('vgg16-bn', seed, 'fan-out');
  let x = net.input(input);
  VGG16.forEach((filters, i) => {
    const name = `features.${i}`;
    x =
      filters === 0
        ? net.maxPool(x, name, 2, 2)
        : net.relu(net.batchNorm(net.conv(x, `${name}.conv`, filters, { bias: true }), `${name}.bn`), `${name}.relu`);
  });
  const flat = net.flatten(x);
  return net.finish((input[1] ?? 0) < 224 ? net.linear(flat, 'classifier', classes) : wideClassifier(net, flat, classes));
}

function wideClassifier(net: Layers, flat: string, classes: number): string {
  const first = net.dropout(net.relu(net.linear(flat, 'classifier.0', 4096), 'classifier.1'), 'classifier.2', 0.5);
  const second = net.dropout(net.relu(net.linear(first, 'classifier.3', 4096), 'classifier.4'), 'classifier.5', 0.5);
  return net.linear(second, 'classifier.6', classes);
}

/** torchvision's AlexNet (Krizhevsky 2014, one tower). */
export function alexnet({ input, classes, seed }: ArchitectureOptions) {
  const net = new Layers('alexnet', seed, 'default');
  const layer = (x: string, i: number, filters: number, kernel: number, stride: number, pad: number): string =>
    net.relu(net.conv(x, `features.${i}`, filters, { kernel, stride, pad, bias: true }), `features.${i + 1}`);
  let x = net.maxPool(layer(net.input(input), 0, 64, 11, 4, 2), 'features.2', 3, 2);
  x = net.maxPool(layer(x, 3, 192, 5, 1, 2), 'features.5', 3, 2);
  x = layer(layer(layer(x, 6, 384, 3, 1, 1), 8, 256, 3, 1, 1), 10, 256, 3, 1, 1);
  x = net.dropout(net.flatten(net.maxPool(x, 'features.12', 3, 2)), 'classifier.0', 0.5);
  x = net.dropout(net.relu(net.linear(x, 'classifier.1', 4096), 'classifier.2'), 'classifier.3', 0.5);
  return net.finish(net.linear(net.relu(net.linear(x, 'classifier.4', 4096), 'classifier.5'), 'classifier.6', classes));
}

/** Expansion, output channels, blocks, stride. */
const MOBILENET: readonly (readonly [number, number, number, number])[] = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];

/**
 * MobileNetV2 (Sandler et al. 2018). Images below 64 get the customary variant for CIFAR: strides of one in the stem and in the
 * second stage, and a convolution on the shortcut where the channels change.
 */
export function mobilenetV2({ input, classes, seed }: ArchitectureOptions) {
  const net = new Layers('mobilenet-v2', seed, 'fan-out');
  const small = (input[1] ?? 0) < 64;
  const activate = (x: string, name: string): string => (small ? net.relu(x, name) : net.relu6(x, name));
  const unit = (x: string, name: string, filters: number, options: Parameters<Layers['conv']>[3]): string =>
    net.batchNorm(net.conv(x, `${name}.conv`, filters, options), `${name}.bn`);
  let x = activate(unit(net.input(input), 'stem', 32, { stride: small ? 1 : 2 }), 'stem.relu');
  MOBILENET.forEach(([expansion, filters, blocks, stated], stage) => {
    for (let i = 0; i < blocks; i++) {
      const name = `stage${stage}.${i}`;
      const stride = i > 0 || (small && stage === 1) ? 1 : stated;
      const hidden = net.channels(x) * expansion;
      const skipExpansion = !small && expansion === 1;
      const wide = skipExpansion ? x : activate(unit(x, `${name}.expand`, hidden, { kernel: 1 }), `${name}.relu1`);
      const deep = activate(unit(wide, `${name}.depthwise`, hidden, { stride, groups: hidden }), `${name}.relu2`);
      const narrow = unit(deep, `${name}.project`, filters, { kernel: 1 });
      if (stride !== 1 || (!small && net.channels(x) !== filters)) x = narrow;
      else x = net.add(narrow, net.channels(x) === filters ? x : unit(x, `${name}.shortcut`, filters, { kernel: 1 }), `${name}.add`);
    }
  });
  const head = activate(unit(x, 'head', 1280, { kernel: 1 }), 'head.relu');
  return net.finish(net.linear(net.flatten(net.globalAverage(head, 'avgpool')), 'classifier', classes));
}

/** Three convolutions with batch norm, two of them followed by a pool, and a linear layer. */
export function smallCnn({ input, classes, seed }: ArchitectureOptions) {
  const net = new Layers('small-cnn', seed, 'fan-out');
  const layer = (x: string, i: number, filters: number): string =>
    net.relu(net.batchNorm(net.conv(x, `conv${i}`, filters), `bn${i}`), `relu${i}`);
  const first = net.maxPool(layer(net.input(input), 1, 16), 'pool1', 2, 2);
  const second = net.maxPool(layer(first, 2, 32), 'pool2', 2, 2);
  return net.finish(net.linear(net.flatten(net.globalAverage(layer(second, 3, 64), 'avgpool')), 'fc', classes));
}

/** Two hidden layers of 256. */
export function mlp({ input, classes, seed }: ArchitectureOptions) {
  const net = new Layers('mlp', seed, 'default');
  const first = net.relu(net.linear(net.flatten(net.input(input)), 'fc1', 256), 'relu1');
  return net.finish(net.linear(net.relu(net.linear(first, 'fc2', 256), 'relu2'), 'fc3', classes));
}
