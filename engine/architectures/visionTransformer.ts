import type { Graph } from '../graph/graph';
import type { ArchitectureOptions } from './createModel';
import { Layers } from './layers';

const WIDTH = 192;
const DEPTH = 12;
const HEADS = 3;
const HIDDEN = 768;
/** Fewest patches along the shorter side, as far as patches of a power of two allow. */
const LEAST_PATCHES = 7;

/** 16 for large images, as published; the largest power of two that leaves at least 7 patches a side for small ones. */
const patchFor = (height: number, width: number): number =>
  Math.min(16, 2 ** Math.max(0, Math.floor(Math.log2(Math.min(height, width) / LEAST_PATCHES))));

/**
 * ViT-Ti (Dosovitskiy et al. 2021; sizes of Touvron et al. 2021, DeiT): pre-norm encoder with a class token and learned positions, under
 * the parameter names of torchvision's VisionTransformer. Images whose sides are no multiple of the patch are padded with zeros.
 */
export function visionTransformer({ input, classes, patch, seed }: ArchitectureOptions): Graph {
  const net = new Layers('vit-tiny', seed, 'default');
  const [, height = 1, width = 1] = input;
  const size = patch ?? patchFor(height, width);
  const [rows, columns] = [Math.ceil(height / size), Math.ceil(width / size)];
  const pads = [0, 0, rows * size - height, columns * size - width];
  const patches = net.conv(net.input(input), 'conv_proj', WIDTH, { kernel: size, stride: size, pads, bias: true });
  const flat = net.node('Reshape', 'patches.flat', [patches, net.ints([0, WIDTH, rows * columns])]);
  const tokens = net.node('Transpose', 'patches', [flat], { perm: [0, 2, 1] });
  const joined = net.node('Concat', 'tokens', [classToken(net, tokens), tokens], { axis: 1 });
  const positions = net.normal('encoder.pos_embedding', [1, rows * columns + 1, WIDTH], 0.02);
  let x = net.add(joined, positions, 'embedded');
  for (let i = 0; i < DEPTH; i++) x = encoderLayer(net, x, `encoder.layers.encoder_layer_${i}`, rows * columns + 1);
  const last = net.layerNorm(x, 'encoder.ln');
  const first = net.node('Slice', 'class', [last, net.ints([0]), net.ints([1]), net.ints([1])]);
  return net.finish(net.linear(net.node('Squeeze', 'class.flat', [first, net.ints([1])]), 'heads.head', classes));
}

/** The class token for every sample of the batch, [N, 1, D]. */
function classToken(net: Layers, tokens: string): string {
  const batch = net.node('Slice', 'class_token.batch', [net.node('Shape', 'tokens.shape', [tokens]), net.ints([0]), net.ints([1])]);
  const shape = net.node('Concat', 'class_token.shape', [batch, net.ints([1, WIDTH])], { axis: 0 });
  return net.node('Expand', 'class_token.expanded', [net.normal('class_token', [1, 1, WIDTH], 0.02), shape]);
}

function encoderLayer(net: Layers, x: string, name: string, tokens: number): string {
  const attended = attention(net, net.layerNorm(x, `${name}.ln_1`), `${name}.self_attention`, tokens);
  const middle = net.add(x, attended, `${name}.add_1`);
  const wide = net.gelu(net.dense(net.layerNorm(middle, `${name}.ln_2`), `${name}.mlp.0`, HIDDEN), `${name}.mlp.1`);
  return net.add(middle, net.dense(wide, `${name}.mlp.3`, WIDTH), `${name}.add_2`);
}

/** softmax(q k^T / sqrt(d)) v over heads; q, k and v come from one product. */
function attention(net: Layers, x: string, name: string, tokens: number): string {
  const each = WIDTH / HEADS;
  const packed = net.dense(x, `${name}.in_proj`, 3 * WIDTH, '_');
  const apart = net.node('Reshape', `${name}.apart`, [packed, net.ints([0, tokens, 3, HEADS, each])]);
  const [q = '', k = '', v = ''] = ['query', 'key', 'value'].map((part, i) => {
    const chosen = net.node('Gather', `${name}.${part}`, [apart, net.index(i)], { axis: 2 });
    return net.node('Transpose', `${name}.${part}.heads`, [chosen], { perm: part === 'key' ? [0, 2, 3, 1] : [0, 2, 1, 3] });
  });
  const scaled = net.node('Mul', `${name}.scale`, [q, net.scalar(1 / Math.sqrt(each))]);
  const weights = net.node('Softmax', `${name}.softmax`, [net.node('MatMul', `${name}.scores`, [scaled, k])], { axis: -1 });
  const mixed = net.node('Transpose', `${name}.mixed`, [net.node('MatMul', `${name}.mix`, [weights, v])], { perm: [0, 2, 1, 3] });
  return net.dense(net.node('Reshape', `${name}.joined`, [mixed, net.ints([0, tokens, WIDTH])]), `${name}.out_proj`, WIDTH);
}
