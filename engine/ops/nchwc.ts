import type { Dim } from '../graph/dims';
import { intOf, intsOf } from '../graph/graph';
import { conv } from './conv';
import type { OpRecord, ShapeContext } from './opRecord';
import { unsupported } from './opRecord';
import { poolingRecords } from './pooling';
import { inputType, sameAsInput } from './shapeHelpers';

/** onnxruntime's operators on blocked activations: shape [N, C, H, W], memory [N, C/b, H, W, b]. */
export const NCHWC = 'com.microsoft.nchwc';

const INTERNAL = unsupported('it appears in training graphs only, which the layout pass makes');

function reorderOutputShape(context: ShapeContext) {
  const x = context.shape(0);
  const channels = intOf(context.node, 'channels', 0);
  return [{ type: inputType(context), shape: x?.map((d, i) => (i === 1 ? channels : d)) }];
}

function upsampleShape(context: ShapeContext) {
  const scales = intsOf(context.node, 'scales') ?? [];
  const scaled = (d: Dim, i: number): Dim => (typeof d === 'number' ? d * (scales[i] ?? 1) : d);
  return [{ type: inputType(context), shape: context.shape(0)?.map(scaled) }];
}

const nchwc = (op: string, shape: OpRecord['shape'], inputs: OpRecord['inputs'] = [1, 1]): OpRecord => ({
  op,
  domain: NCHWC,
  opsets: [1, 1],
  inputs,
  outputs: [1, 1],
  shape,
  gradient: INTERNAL,
  macs: 'none',
  coupling: INTERNAL,
  tfjs: unsupported('only onnxruntime has blocked kernels; the tfjs runtime takes the portable layout'),
});

const pool = (op: string): OpRecord => nchwc(op, poolingRecords.find((r) => r.op === op)?.shape ?? sameAsInput);

export const nchwcRecords: readonly OpRecord[] = [
  { ...nchwc('Conv', conv.shape, [2, 4]), macs: conv.macs },
  nchwc('ReorderInput', sameAsInput),
  nchwc('ReorderOutput', reorderOutputShape),
  pool('MaxPool'),
  pool('AveragePool'),
  pool('GlobalAveragePool'),
  nchwc('Upsample', upsampleShape),
];
