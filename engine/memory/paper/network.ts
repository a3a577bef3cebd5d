/** Layers of the paper's cost model (SuperNeurons, section 3). */
export type LayerKind = 'conv' | 'fc' | 'act' | 'lrn' | 'pool' | 'dropout' | 'bn' | 'softmax' | 'join' | 'fork';

export interface PaperLayer {
  readonly name: string;
  readonly kind: LayerKind;
  /** Layers whose outputs it reads; empty for the first, which reads the batch. */
  readonly inputs: readonly number[];
  /** Bytes of one output; a fork has one output, a hard copy, for every branch. */
  readonly bytes: number;
  readonly branches: number;
}

/** Layers in execution order. The batch itself is not counted, but the gradient of the first layer with respect to it is. */
export interface PaperNetwork {
  readonly layers: readonly PaperLayer[];
  /** Bytes of the batch. */
  readonly inputBytes: number;
}

/** Checkpoints: the layers whose outputs are never recomputed (the authors' `mem_control`). */
export const CHECKPOINTS: ReadonlySet<LayerKind> = new Set(['conv', 'fc', 'join', 'fork', 'softmax']);

/** Adds layers one after another; every size is channels, height and width of float32. */
class Layers {
  readonly layers: PaperLayer[] = [];

  constructor(private readonly batch: number) {}

  add(kind: LayerKind, name: string, size: readonly [number, number, number], inputs?: readonly number[], branches = 1): number {
    const bytes = 4 * this.batch * size[0] * size[1] * size[2];
    this.layers.push({ name, kind, inputs: inputs ?? (this.layers.length > 0 ? [this.layers.length - 1] : []), bytes, branches });
    return this.layers.length - 1;
  }

  network(inputBytes: number): PaperNetwork {
    return { layers: this.layers, inputBytes };
  }
}

/** AlexNet with 227 x 227 images and one tower, as the paper measures it: 23 layers. */
export function paperAlexnet(batch: number): PaperNetwork {
  const net = new Layers(batch);
  const convolution = (i: number, channels: number, side: number, pooled?: number, normalised = false): void => {
    net.add('conv', `CONV${i}`, [channels, side, side]);
    net.add('act', `RELU${i}`, [channels, side, side]);
    if (normalised) net.add('lrn', `LRN${i}`, [channels, side, side]);
    if (pooled !== undefined) net.add('pool', `POOL${i}`, [channels, pooled, pooled]);
  };
  convolution(1, 96, 55, 27, true);
  convolution(2, 256, 27, 13, true);
  convolution(3, 384, 13);
  convolution(4, 384, 13);
  convolution(5, 256, 13, 6);
  for (const i of [1, 2]) {
    net.add('fc', `FC${i}`, [4096, 1, 1]);
    net.add('act', `RELU${i + 5}`, [4096, 1, 1]);
    net.add('dropout', `DROP${i}`, [4096, 1, 1]);
  }
  net.add('fc', 'FC3', [1000, 1, 1]);
  net.add('softmax', 'SOFTMAX', [1000, 1, 1]);
  return net.network(4 * batch * 3 * 227 * 227);
}

/** ResNet with bottlenecks; the stem gives 114 x 114 from 227 x 227 images. */
export function paperResnet(batch: number, blocks: readonly number[]): PaperNetwork {
  const net = new Layers(batch);
  net.add('conv', 'CONV1', [64, 114, 114]);
  net.add('bn', 'BN1', [64, 114, 114]);
  net.add('act', 'RELU1', [64, 114, 114]);
  let x = net.add('pool', 'POOL1', [64, 56, 56]);
  let [channels, from] = [64, 56];
  blocks.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      const side = stage > 0 && i === 0 ? from / 2 : from;
      x = bottleneck(net, x, `${stage + 2}.${i + 1}`, { channels, width: 64 << stage, from, side });
      [channels, from] = [256 << stage, side];
    }
  });
  net.add('pool', 'POOL5', [2048, 1, 1], [x]);
  net.add('fc', 'FC', [1000, 1, 1]);
  net.add('softmax', 'SOFTMAX', [1000, 1, 1]);
  return net.network(4 * batch * 3 * 227 * 227);
}

/** Channels that enter, channels in the middle, and the sides of the maps that enter and leave. */
interface BlockSize {
  readonly channels: number;
  readonly width: number;
  readonly from: number;
  readonly side: number;
}

function bottleneck(net: Layers, x: number, name: string, { channels, width, from, side }: BlockSize): number {
  const fork = net.add('fork', `FORK${name}`, [channels, from, from], [x], 2);
  const normalised = (part: string, input: number, filters: number, size: number): number => {
    const conv = net.add('conv', `CONV${name}${part}`, [filters, size, size], [input]);
    return net.add('bn', `BN${name}${part}`, [filters, size, size], [conv]);
  };
  const active = (part: string, input: number, size: number): number =>
    net.add('act', `RELU${name}${part}`, [width, size, size], [normalised(part, input, width, size)]);
  const main = normalised('c', active('b', active('a', fork, from), side), 4 * width, side);
  const shortcut = channels === 4 * width ? fork : normalised('p', fork, 4 * width, side);
  net.add('join', `JOIN${name}`, [4 * width, side, side], [main, shortcut]);
  return net.add('act', `RELU${name}`, [4 * width, side, side]);
}

export const PAPER_NETWORKS: Readonly<Record<string, (batch: number) => PaperNetwork>> = {
  alexnet: paperAlexnet,
  resnet50: (batch) => paperResnet(batch, [3, 4, 6, 3]),
  resnet101: (batch) => paperResnet(batch, [3, 4, 23, 3]),
};
