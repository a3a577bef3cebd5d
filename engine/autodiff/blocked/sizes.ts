import { type Node, intOf, intsOf } from '../../graph/graph';
import { resolveWindow, windowAttributes } from '../../ops/shapeHelpers';

/** A plane convolution in blocked form. Channels are counted with their padding to whole blocks. */
export interface BlockedConv {
  /** 'image': the input is a plain tensor with fewer channels than a block; 'depthwise': one filter for each channel. */
  readonly kind: 'dense' | 'image' | 'depthwise';
  readonly block: number;
  readonly batch: number;
  readonly channels: number;
  readonly filters: number;
  /** Groups of the kernel: all channels when depthwise. */
  readonly groups: number;
  /** Groups of the file that make one of the kernel's, with zeros between them, so that its channels fill whole blocks. */
  readonly merged: number;
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: number;
  /** Above one only with a stride of one. */
  readonly dilation: number;
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
}

export const padded = (channels: number, block: number): number => Math.ceil(channels / block) * block;

/** Input channels of one filter. */
export const channelsPerGroup = ({ channels, groups }: BlockedConv): number => channels / groups;

/**
 * The blocked form of a Conv node, or undefined where it has none: other ranks than two, unequal strides or dilations, strides above two, both at once,
 * negative or oversized pads.
 */
export function blockedConvOf(
  node: Node,
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
  block: number,
  isImage: boolean,
): BlockedConv | undefined {
  const [batch = 0, channels = 0, height = 0, width = 0] = x;
  const [filters = 0, perGroup = 0, kh = 0, kw = 0] = w;
  if (x.length !== 4) return undefined;
  const window = resolveWindow([height, width], intsOf(node, 'kernel_shape') ?? [kh, kw], windowAttributes(node));
  const [stride = 1, across = 1] = window.strides;
  const [top = 0, left = 0, bottom = 0, right = 0] = window.pads;
  const groups = intOf(node, 'group', 1);
  const depthwise = groups > 1 && groups === channels && perGroup === 1 && filters === channels;
  const [dilation = 1, dilationAcross = 1] = window.dilations;
  const square = stride === across && stride <= 2 && dilation === dilationAcross && (dilation === 1 || stride === 1);
  const pads = [top, left, bottom, right] as const;
  if (!square || pads.some((p, i) => p < 0 || p > ((i % 2 ? kw : kh) - 1) * dilation)) return undefined;
  const kind = depthwise ? 'depthwise' : isImage && channels < block && groups === 1 ? 'image' : 'dense';
  const merged = kind === 'dense' ? mergedGroups(groups, perGroup, filters / groups, block) : 1;
  const whole = kind === 'image' ? channels : padded(channels, block);
  return {
    kind,
    block,
    batch,
    channels: whole,
    filters: padded(filters, block),
    groups: depthwise ? whole : groups / merged,
    merged,
    input: [height, width],
    output: [y[2] ?? 1, y[3] ?? 1],
    kernel: [kh, kw],
    stride,
    dilation,
    pads,
  };
}

/** The fewest groups that together have whole blocks of channels and filters; all of them where none have. */
function mergedGroups(groups: number, channels: number, filters: number, block: number): number {
  for (let merged = 1; merged < groups; merged++)
    if (groups % merged === 0 && (merged * channels) % block === 0 && (merged * filters) % block === 0) return merged;
  return groups;
}
