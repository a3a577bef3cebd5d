import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { create, isFieldSet } from '@bufbuild/protobuf';
import { SurgeryError } from '../../graph/errors';
import {
  type ElementType,
  type Tensor,
  type TypedArray,
  arrayFromBytes,
  byteSize,
  bytesOf,
  elementCount,
  newArray,
} from '../../graph/tensor';
import { fromDataType, toDataType } from './elementTypes';
import { type TensorProto, TensorProtoSchema, TensorProto_DataLocation as DataLocation } from './onnx_pb';

/** External tensors of more than this are read when they are used and forgotten afterwards. */
const LAZY_BYTES = 256 * 2 ** 20;

/** What a tensor was read from; an unchanged tensor is written back as it was. */
const origins = new WeakMap<Tensor, TensorProto>();

/** Reads a TensorProto. `folder` is where external data may lie; without one external data is refused. */
export function decodeTensor(proto: TensorProto, file: string, folder?: string): Tensor {
  const fail = (reason: string): never => {
    throw new SurgeryError('file-malformed', `${file}: tensor ${proto.name || '(unnamed)'} ${reason}`);
  };
  const type = fromDataType(proto.dataType) ?? fail(`has element type ${proto.dataType}, which ONNX does not define`);
  const dims = proto.dims.map(Number);
  if (dims.some((d) => d < 0)) fail(`has a negative dimension (${dims.join(', ')})`);
  const tensor =
    proto.dataLocation === DataLocation.EXTERNAL ? externalTensor(proto, type, dims, file, folder) : storedTensor(proto, type, dims, fail);
  origins.set(tensor, proto);
  return tensor;
}

function storedTensor(proto: TensorProto, type: ElementType, dims: readonly number[], fail: (reason: string) => never): Tensor {
  const count = elementCount(dims);
  if (type !== 'string' && proto.rawData.byteLength > 0 && proto.rawData.byteLength === byteSize(type, count))
    return new RawTensor(type, dims, proto.rawData);
  const tensor = { type, dims, data: decodeData(proto, type, count) };
  checkLength(tensor, count, fail);
  return tensor;
}

function checkLength(tensor: Tensor, count: number, fail: (reason: string) => never): void {
  const expected = ArrayBuffer.isView(tensor.data) ? newLength(tensor.type, count) : count;
  if (tensor.data.length !== expected) fail(`has ${tensor.data.length} elements of data but shape [${tensor.dims.join(', ')}]`);
}

/** Elements of the typed array: packed types have fewer, complex types more. */
function newLength(type: ElementType, count: number): number {
  const perElement = newArray(type, 0).BYTES_PER_ELEMENT;
  return byteSize(type, count) / perElement;
}

function decodeData(proto: TensorProto, type: ElementType, count: number): TypedArray | readonly Uint8Array[] {
  if (type === 'string') return proto.stringData;
  if (isFieldSet(proto, TensorProtoSchema.field.rawData)) return arrayFromBytes(type, proto.rawData);
  switch (type) {
    case 'float32':
    case 'complex64':
      return Float32Array.from(proto.floatData);
    case 'float64':
    case 'complex128':
      return Float64Array.from(proto.doubleData);
    case 'int64':
      return BigInt64Array.from(proto.int64Data);
    case 'uint64':
      return BigUint64Array.from(proto.uint64Data);
    case 'uint32':
      return Uint32Array.from(proto.uint64Data.map(Number));
    default:
      return fillFrom(newArray(type, count), proto.int32Data);
  }
}

/** int32_data holds one element of a narrow type per entry (one packed byte for types below a byte). */
function fillFrom(target: TypedArray, values: readonly number[]): TypedArray {
  if (values.length !== target.length) return Int32Array.from(values);
  const numbers = target as Int32Array;
  values.forEach((value, i) => (numbers[i] = value));
  return target;
}

interface ExternalLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

function externalTensor(proto: TensorProto, type: ElementType, dims: readonly number[], file: string, folder: string | undefined): Tensor {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  if (folder === undefined)
    throw new SurgeryError(
      'file-unsupported',
      `${file}: tensor ${proto.name} lies in another file (${location}); open the model from its folder`,
    );
  const target = path.resolve(folder, location);
  if (path.isAbsolute(location) || path.relative(folder, target).startsWith('..'))
    throw new SurgeryError('file-malformed', `${file}: tensor ${proto.name} points outside the model's folder (${location})`);
  if (!existsSync(target))
    throw new SurgeryError(
      'file-not-found',
      `${file}: external data ${location} of tensor ${proto.name} is missing; put it beside the model`,
    );
  const expected = byteSize(type, elementCount(dims));
  const length = Number(entries.get('length') ?? expected);
  if (length !== expected)
    throw new SurgeryError(
      'file-malformed',
      `${file}: tensor ${proto.name} has ${length} bytes in ${location} but its shape needs ${expected}`,
    );
  const external = new ExternalTensor(type, dims, { file: target, offset: Number(entries.get('offset') ?? 0), length });
  return length > LAZY_BYTES ? external : { type, dims, data: external.data };
}

/** A tensor in the bytes of a model file. Bytes that are not aligned are copied once somebody looks at them. */
class RawTensor implements Tensor {
  #data: TypedArray | undefined;

  constructor(
    readonly type: ElementType,
    readonly dims: readonly number[],
    private readonly bytes: Uint8Array,
  ) {}

  get data(): TypedArray {
    return (this.#data ??= arrayFromBytes(this.type, this.bytes));
  }
}

/** A tensor whose bytes stay in its file until somebody looks at them. */
class ExternalTensor implements Tensor {
  constructor(
    readonly type: ElementType,
    readonly dims: readonly number[],
    private readonly location: ExternalLocation,
  ) {}

  get data(): TypedArray {
    const { file, offset, length } = this.location;
    const descriptor = openSync(file, 'r');
    try {
      if (fstatSync(descriptor).size < offset + length)
        throw new SurgeryError('file-malformed', `${file} ends before byte ${offset + length}, where the model expects data`);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) done += readSync(descriptor, bytes, done, Math.min(length - done, 2 ** 30), offset + done);
      return arrayFromBytes(this.type, bytes);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** A TensorProto with raw data; what was read and not changed is given back as it was. */
export function encodeTensor(name: string, tensor: Tensor): TensorProto {
  const origin = origins.get(tensor);
  if (origin && origin.name === name && origin.dataLocation !== DataLocation.EXTERNAL) return origin;
  const proto = create(TensorProtoSchema, { dims: tensor.dims.map(BigInt), dataType: toDataType(tensor.type) });
  if (name) proto.name = name;
  if (ArrayBuffer.isView(tensor.data)) proto.rawData = bytesOf(tensor);
  else proto.stringData = [...tensor.data];
  return proto;
}

/** A TensorProto whose bytes lie in another file. */
export function encodeExternalTensor(name: string, tensor: Tensor, location: string, offset: number): TensorProto {
  const entries = { location, offset: String(offset), length: String(bytesOf(tensor).byteLength) };
  return create(TensorProtoSchema, {
    name,
    dims: tensor.dims.map(BigInt),
    dataType: toDataType(tensor.type),
    dataLocation: DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
}
