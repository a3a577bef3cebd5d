import { SurgeryError } from '../../graph/errors';
import type { Graph, Node } from '../../graph/graph';
import { type ElementType, type Tensor, numbersOf } from '../../graph/tensor';
import {
  type LoweringContext,
  type TfjsLowering,
  type TfjsModule,
  type TfjsResult,
  type TfjsTensor,
  isUnsupported,
} from '../../ops/opRecord';
import { lookupOp } from '../../ops/opTable';
import { tfjsType } from '../../ops/tfjs/shape';
import type { DeviceValue } from './deviceValue';

export interface Operator {
  readonly node: Node;
  readonly lowering: TfjsLowering;
  readonly opset: number;
}

/** What operators read, by the name of the value. */
export interface Operands {
  value(name: string): DeviceValue;
  type(name: string): ElementType;
  /** Contents that the host knows: constants and what was fed. */
  known(name: string): Tensor | undefined;
}

/** @throws SurgeryError 'operator-unsupported' when an operator is unknown or has no lowering, naming the node. */
export function operatorOf(node: Node, graph: Graph): Operator {
  const opset = graph.opsets.get(node.domain) ?? 1;
  const record = lookupOp(node.op, node.domain, opset);
  const name = `${node.name} (${node.op}, opset ${opset})`;
  if (!record) throw new SurgeryError('operator-unsupported', `${name} is unknown to Scalpel; the TensorFlow runtime cannot run it`);
  if (isUnsupported(record.tfjs))
    throw new SurgeryError('operator-unsupported', `${name} cannot run on the TensorFlow runtime: ${record.tfjs.unsupported}`);
  return { node, lowering: record.tfjs, opset };
}

/** Results by output. They own their memory: what a lowering passes through is cloned, and everything else that it made is disposed. */
export function compute(tf: TfjsModule, { node, lowering, opset }: Operator, operands: Operands): TfjsResult[] {
  const given = new Set<TfjsTensor>();
  const context = contextOf(tf, { node, lowering, opset }, operands, given);
  const own = (tensor: TfjsTensor, i: number): TfjsTensor => {
    const type = tfjsType(context.outputType(i));
    if (tensor.dtype !== type) return tf.cast(tensor, type);
    if (given.has(tensor)) return tf.clone(tensor);
    given.add(tensor);
    return tensor;
  };
  try {
    return tf.tidy(() => {
      const raw = lowering(context);
      const list = Array.isArray(raw) ? (raw as TfjsResult[]) : [raw as TfjsResult];
      return list.map((result, i) => ('channelsLast' in result ? { channelsLast: own(result.channelsLast, i) } : own(result, i))) as never;
    });
  } catch (error) {
    if (error instanceof SurgeryError) throw error;
    throw new SurgeryError('runtime-failed', `${node.name} (${node.op}) failed on the TensorFlow runtime: ${(error as Error).message}`);
  }
}

function contextOf(tf: TfjsModule, { node, opset }: Operator, operands: Operands, given: Set<TfjsTensor>): LoweringContext {
  const nameOf = (i: number): string => node.inputs[i] ?? '';
  const at = (i: number): DeviceValue => operands.value(nameOf(i));
  const noted = (tensor: TfjsTensor): TfjsTensor => {
    given.add(tensor);
    return tensor;
  };
  return {
    tf,
    node,
    opset,
    has: (i) => Boolean(node.inputs[i]),
    input: (i) => noted(at(i).plain()),
    channelsLast: (i) => noted(at(i).channelsLast()),
    forms: (i) => at(i).forms,
    shape: (i) => at(i).shape,
    type: (i) => operands.type(nameOf(i)),
    outputType: (i) => operands.type(node.outputs[i] ?? ''),
    numbers: (i) => {
      const known = operands.known(nameOf(i));
      return known && ArrayBuffer.isView(known.data) ? numbersOf(known) : Array.from(at(i).plain().dataSync());
    },
    fail: (reason) => {
      throw new SurgeryError('runtime-failed', `${node.name} (${node.op}) cannot run on the TensorFlow runtime: ${reason}`);
    },
  };
}
