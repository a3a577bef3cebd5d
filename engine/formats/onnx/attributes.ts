import { create } from '@bufbuild/protobuf';
import type { AttributeValue, Graph } from '../../graph/graph';
import { type AttributeProto, AttributeProtoSchema, AttributeProto_AttributeType as Type, type GraphProto } from './onnx_pb';
import { decodeTensor, encodeTensor } from './tensors';

/** What an attribute was read from; an unchanged attribute is written back as it was. */
const origins = new WeakMap<AttributeValue, AttributeProto>();

export interface SubgraphCodec {
  decode(proto: GraphProto): Graph;
  encode(graph: Graph): GraphProto;
}

export function decodeAttribute(proto: AttributeProto, file: string, folder: string | undefined, subgraphs: SubgraphCodec): AttributeValue {
  const value = decodeValue(proto, file, folder, subgraphs);
  origins.set(value, proto);
  return value;
}

/** IR version 1 left the type out: it follows from the field that is set. */
function typeOf(proto: AttributeProto): Type {
  if (proto.type !== Type.UNDEFINED) return proto.type;
  if (proto.ints.length > 0) return Type.INTS;
  if (proto.floats.length > 0) return Type.FLOATS;
  if (proto.strings.length > 0) return Type.STRINGS;
  if (proto.t) return Type.TENSOR;
  if (proto.g) return Type.GRAPH;
  if (proto.s.length > 0) return Type.STRING;
  return proto.f !== 0 ? Type.FLOAT : Type.INT;
}

function decodeValue(proto: AttributeProto, file: string, folder: string | undefined, subgraphs: SubgraphCodec): AttributeValue {
  switch (typeOf(proto)) {
    case Type.INT:
      return { kind: 'int', value: Number(proto.i) };
    case Type.FLOAT:
      return { kind: 'float', value: proto.f };
    case Type.STRING:
      return { kind: 'string', value: Buffer.from(proto.s).toString('utf8') };
    case Type.INTS:
      return { kind: 'ints', value: proto.ints.map(Number) };
    case Type.FLOATS:
      return { kind: 'floats', value: proto.floats };
    case Type.STRINGS:
      return { kind: 'strings', value: proto.strings.map((s) => Buffer.from(s).toString('utf8')) };
    case Type.TENSOR:
      return proto.t ? { kind: 'tensor', value: decodeTensor(proto.t, file, folder) } : { kind: 'opaque', source: proto };
    case Type.GRAPH:
      return proto.g ? { kind: 'graph', value: subgraphs.decode(proto.g) } : { kind: 'opaque', source: proto };
    default:
      return { kind: 'opaque', source: proto };
  }
}

export function encodeAttribute(name: string, value: AttributeValue, subgraphs: SubgraphCodec): AttributeProto {
  const origin = origins.get(value);
  if (origin && value.kind !== 'graph') return origin;
  const proto = create(AttributeProtoSchema, { name });
  switch (value.kind) {
    case 'int':
      return Object.assign(proto, { type: Type.INT, i: toInt64(value.value) });
    case 'float':
      return Object.assign(proto, { type: Type.FLOAT, f: value.value });
    case 'string':
      return Object.assign(proto, { type: Type.STRING, s: Buffer.from(value.value) });
    case 'ints':
      return Object.assign(proto, { type: Type.INTS, ints: value.value.map(toInt64) });
    case 'floats':
      return Object.assign(proto, { type: Type.FLOATS, floats: [...value.value] });
    case 'strings':
      return Object.assign(proto, { type: Type.STRINGS, strings: value.value.map((s) => Buffer.from(s)) });
    case 'tensor':
      return Object.assign(proto, { type: Type.TENSOR, t: encodeTensor('', value.value) });
    case 'graph':
      return Object.assign(origin ? { ...origin } : proto, { type: Type.GRAPH, g: subgraphs.encode(value.value) });
    case 'opaque':
      return value.source as AttributeProto;
  }
}

const LARGEST = 2n ** 63n - 1n;

/** Numbers beyond int64 (such as INT64_MAX read as a double) become the nearest int64. */
function toInt64(value: number): bigint {
  const exact = BigInt(Math.trunc(value));
  return exact > LARGEST ? LARGEST : exact < -LARGEST - 1n ? -LARGEST - 1n : exact;
}
