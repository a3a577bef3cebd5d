import { create } from '@bufbuild/protobuf';
import { UNKNOWN } from '../../graph/dims';
import type { NamedValue, ValueType } from '../../graph/graph';
import { fromDataType, toDataType } from './elementTypes';
import { type TypeProto, type ValueInfoProto, ValueInfoProtoSchema } from './onnx_pb';

/** Tensor type of a value; undefined for sequences, maps and optionals, which Scalpel carries but does not look into. */
function tensorType(type: TypeProto | undefined): ValueType | undefined {
  if (type?.value.case !== 'tensorType') return undefined;
  const { elemType, shape } = type.value.value;
  const element = fromDataType(elemType);
  if (!element) return undefined;
  return {
    type: element,
    shape: shape?.dim.map(({ value }) =>
      value.case === 'dimValue' ? Number(value.value) : value.case === 'dimParam' && value.value ? value.value : UNKNOWN,
    ),
  };
}

export function decodeValueInfo(proto: ValueInfoProto): NamedValue {
  return { name: proto.name, ...(tensorType(proto.type) ?? { type: 'float32' }), source: proto };
}

export function encodeValueInfo(value: NamedValue): ValueInfoProto {
  const source = value.source as ValueInfoProto | undefined;
  if (source && isUnchanged(value, source)) return source;
  const shape = value.shape && {
    dim: value.shape.map((d) => ({
      value:
        typeof d === 'number'
          ? { case: 'dimValue' as const, value: BigInt(d) }
          : d === UNKNOWN
            ? { case: undefined }
            : { case: 'dimParam' as const, value: d },
    })),
  };
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: { value: { case: 'tensorType', value: { elemType: toDataType(value.type), shape } } },
  });
}

function isUnchanged(value: NamedValue, source: ValueInfoProto): boolean {
  const before = tensorType(source.type);
  if (source.name !== value.name) return false;
  if (!before) return true;
  return before.type === value.type && String(before.shape) === String(value.shape);
}
