import { intOf } from '../graph/graph';
import type { OpRecord } from './opRecord';
import { unsupported } from './opRecord';
import { NOT_DIFFERENTIABLE, inputType } from './shapeHelpers';

/** The identity matrix of the shape of its input. */
export const eyeLike: OpRecord = {
  op: 'EyeLike',
  domain: '',
  opsets: [9, 99],
  inputs: [1, 1],
  outputs: [1, 1],
  shape: (context) => [{ type: inputType(context), shape: context.shape(0) }],
  gradient: NOT_DIFFERENTIABLE,
  macs: 'none',
  coupling: unsupported('an identity matrix holds rows and columns together'),
  tfjs: (context) => {
    const [rows = 0, columns = 0] = context.shape(0);
    if (intOf(context.node, 'k', 0) !== 0) context.fail('a diagonal beside the main one has no lowering');
    return context.tf.eye(rows, columns);
  },
};
