import { Layers } from './layers';
import type { ArchitectureOptions } from './createModel';

/** ResNet for small images, depth 6n + 2 (He et al. 2016, section 4.2): three stages of n blocks with 16, 32 and 64 channels. */
export function cifarResnet(depth: number, { input, classes, shortcut = 'pad', seed }: ArchitectureOptions) {
  const net = new Layers(`resnet${depth}`, seed, 'fan-out');
  let x = net.relu(net.batchNorm(net.conv(net.input(input), 'conv1', 16), 'bn1'), 'relu1');
  for (let stage = 0; stage < 3; stage++)
    for (let i = 0; i < (depth - 2) / 6; i++)
      x = basicBlock(net, x, `layer${stage + 1}.${i}`, 16 << stage, stage > 0 && i === 0 ? 2 : 1, shortcut);
  return net.finish(net.linear(net.flatten(net.globalAverage(x, 'avgpool')), 'fc', classes));
}

function basicBlock(net: Layers, x: string, name: string, filters: number, stride: number, shortcut: 'pad' | 'conv'): string {
  const first = net.relu(net.batchNorm(net.conv(x, `${name}.conv1`, filters, { stride }), `${name}.bn1`), `${name}.relu1`);
  const second = net.batchNorm(net.conv(first, `${name}.conv2`, filters), `${name}.bn2`);
  const same = stride === 1 && net.channels(x) === filters;
  const side = same
    ? x
    : shortcut === 'pad'
      ? net.padShortcut(x, `${name}.shortcut`, filters)
      : downsample(net, x, `${name}.downsample`, filters, stride);
  return net.relu(net.add(second, side, `${name}.add`), `${name}.relu2`);
}

const downsample = (net: Layers, x: string, name: string, filters: number, stride: number): string =>
  net.batchNorm(net.conv(x, `${name}.0`, filters, { kernel: 1, stride }), `${name}.1`);

/** Three 1x1, 3x3, 1x1 convolutions; the stride is in the middle one (torchvision's version 1.5). */
function bottleneck(net: Layers, x: string, name: string, width: number, stride: number): string {
  const filters = 4 * width;
  const first = net.relu(net.batchNorm(net.conv(x, `${name}.conv1`, width, { kernel: 1 }), `${name}.bn1`), `${name}.relu1`);
  const second = net.relu(net.batchNorm(net.conv(first, `${name}.conv2`, width, { stride }), `${name}.bn2`), `${name}.relu2`);
  const third = net.batchNorm(net.conv(second, `${name}.conv3`, filters, { kernel: 1 }), `${name}.bn3`);
  const side = stride === 1 && net.channels(x) === filters ? x : downsample(net, x, `${name}.downsample`, filters, stride);
  return net.relu(net.add(third, side, `${name}.add`), `${name}.relu3`);
}

/** Blocks of each stage of torchvision's ResNets. */
export const IMAGENET_BLOCKS: Readonly<Record<number, readonly number[]>> = {
  18: [2, 2, 2, 2],
  34: [3, 4, 6, 3],
  50: [3, 4, 6, 3],
  101: [3, 4, 23, 3],
  152: [3, 8, 36, 3],
};

/** torchvision's ResNet with 7x7 stem and max pool. */
export function imagenetResnet(depth: number, { input, classes, seed }: ArchitectureOptions) {
  const net = new Layers(`resnet${depth}`, seed, 'fan-out');
  const stem = net.relu(net.batchNorm(net.conv(net.input(input), 'conv1', 64, { kernel: 7, stride: 2 }), 'bn1'), 'relu');
  let x = net.maxPool(stem, 'maxpool', 3, 2, 1);
  (IMAGENET_BLOCKS[depth] ?? []).forEach((blocks, stage) => {
    for (let i = 0; i < blocks; i++) {
      const [name, stride] = [`layer${stage + 1}.${i}`, stage > 0 && i === 0 ? 2 : 1];
      x = depth >= 50 ? bottleneck(net, x, name, 64 << stage, stride) : basicBlock(net, x, name, 64 << stage, stride, 'conv');
    }
  });
  return net.finish(net.linear(net.flatten(net.globalAverage(x, 'avgpool')), 'fc', classes));
}

/** Wide ResNet with pre-activation (Zagoruyko and Komodakis 2016): depth 6n + 4, `width` times the channels. */
export function wideResnet(depth: number, width: number, { input, classes, seed }: ArchitectureOptions) {
  const net = new Layers(`wrn-${depth}-${width}`, seed, 'fan-out');
  let x = net.conv(net.input(input), 'conv1', 16);
  for (let stage = 0; stage < 3; stage++)
    for (let i = 0; i < (depth - 4) / 6; i++)
      x = preActivation(net, x, `block${stage + 1}.${i}`, (16 << stage) * width, stage > 0 && i === 0 ? 2 : 1);
  const last = net.relu(net.batchNorm(x, 'bn1'), 'relu');
  return net.finish(net.linear(net.flatten(net.globalAverage(last, 'avgpool')), 'fc', classes));
}

function preActivation(net: Layers, x: string, name: string, filters: number, stride: number): string {
  const active = net.relu(net.batchNorm(x, `${name}.bn1`), `${name}.relu1`);
  const first = net.relu(net.batchNorm(net.conv(active, `${name}.conv1`, filters, { stride }), `${name}.bn2`), `${name}.relu2`);
  const second = net.conv(first, `${name}.conv2`, filters);
  const same = net.channels(x) === filters && stride === 1;
  return net.add(second, same ? x : net.conv(active, `${name}.shortcut`, filters, { kernel: 1, stride }), `${name}.add`);
}
