import { create, toBinary } from '@bufbuild/protobuf';
import { SurgeryError } from '../../graph/errors';
import type { Graph, Node } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { encodeAttribute } from './attributes';
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
} from './onnx_pb';
import type { OnnxSource } from './readOnnx';
import { encodeTensor } from './tensors';
import { encodeValueInfo } from './valueTypes';

/** First IR version that may name an opset (Versioning.md of ONNX); later opsets need later ones. */
const IR_OF_OPSET: readonly (readonly [opset: number, ir: number])[] = [
  [24, 11],
  [23, 11],
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [9, 4],
];

export type EncodeTensor = (name: string, tensor: Tensor) => TensorProto;

/** The bytes of an ONNX file. What was read and not changed is written as it was. */
export function encodeOnnx(graph: Graph, encode: EncodeTensor = encodeTensor): Uint8Array {
  return toBinary(ModelProtoSchema, toModel(graph, encode));
}

function toModel(graph: Graph, encode: EncodeTensor): ModelProto {
  const source = (graph.source as OnnxSource | undefined)?.model;
  const model: ModelProto = source ? copyMessage(source) : create(ModelProtoSchema, { producerName: 'scalpel' });
  const opset = graph.opsets.get('') ?? 1;
  const neededIr = IR_OF_OPSET.find(([first]) => opset >= first)?.[1] ?? 3;
  model.irVersion = source ? source.irVersion : BigInt(neededIr);
  if (!source || !sameOpsets(source, graph)) model.opsetImport = [...graph.opsets].map(([domain, version]) => createOpset(domain, version));
  if (source && !sameOpsets(source, graph) && source.irVersion < BigInt(neededIr)) model.irVersion = BigInt(neededIr);
  model.graph = toGraph(graph, encode);
  return model;
}

/** A shallow copy that still knows which fields are unset. */
const copyMessage = <T extends object>(message: T): T =>
  Object.assign(Object.create(Object.getPrototypeOf(message) as object) as T, message);

const createOpset = (domain: string, version: number): ModelProto['opsetImport'][number] =>
  create(ModelProtoSchema, { opsetImport: [{ domain, version: BigInt(version) }] }).opsetImport[0] as ModelProto['opsetImport'][number];

const sameOpsets = (model: ModelProto, graph: Graph): boolean =>
  model.opsetImport.length === 0
    ? graph.opsets.size === 1 && graph.opsets.get('') === 1
    : [...graph.opsets].every(([domain, version]) =>
        model.opsetImport.some((o) => (o.domain === 'ai.onnx' ? '' : o.domain) === domain && Number(o.version) === version),
      );

function toGraph(graph: Graph, encode: EncodeTensor): GraphProto {
  const source = (graph.source as OnnxSource | undefined)?.graph;
  const proto: GraphProto = source ? copyMessage(source) : create(GraphProtoSchema, { name: graph.name || 'graph' });
  proto.node = graph.nodes.map(toNode);
  proto.input = graph.inputs.map(encodeValueInfo);
  proto.output = graph.outputs.map(encodeValueInfo);
  proto.valueInfo = [...graph.valueInfo.values()].map(encodeValueInfo);
  proto.initializer = [...graph.initializers].map(([name, tensor]) => encode(name, tensor));
  return proto;
}

const subgraphs = {
  decode: (): never => {
    throw new SurgeryError('internal', 'A writer cannot read');
  },
  encode: (graph: Graph): GraphProto => toGraph(graph, encodeTensor),
};

function toNode(node: Node): NodeProto {
  const source = node.source as NodeProto | undefined;
  const proto: NodeProto = source ? copyMessage(source) : create(NodeProtoSchema, { name: node.name });
  proto.opType = node.op;
  if (node.domain !== (proto.domain === 'ai.onnx' ? '' : proto.domain)) proto.domain = node.domain;
  proto.input = node.inputs;
  proto.output = node.outputs;
  proto.attribute = [...node.attributes].map(([name, value]) => encodeAttribute(name, value, subgraphs));
  return proto;
}
