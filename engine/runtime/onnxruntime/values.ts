import koffi from 'koffi';
import { SurgeryError } from '../../graph/errors';
import { byteSize, elementCount, newArray, type ElementType, type Tensor, type TypedArray } from '../../graph/tensor';
import { copyFrom } from '../memoryCopy';
import type { Environment } from './environment';
import type { Handle } from './library';

/** A tensor at an address in memory that the caller keeps alive. */
export interface PlacedTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly address: bigint;
  /** Bytes available at the address. */
  readonly bytes: number;
}

/** ONNX's element types in the order of their codes, which start at 1 (onnx.proto and OrtApi's ONNXTensorElementDataType agree). */
const TYPES: readonly ElementType[] = [
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
  'float4e2m1',
  'float8e8m0',
  'uint2',
  'int2',
];
const STRING = TYPES.indexOf('string') + 1;

/** Stands in for the data of empty tensors, whose arrays have no address. */
const NOTHING = new BigInt64Array(1);

/** A tensor in memory of an allocator's, without contents. */
export function newValue(
  { library }: Environment,
  allocator: Handle<'allocator'>,
  { type, dims }: { readonly type: ElementType; readonly dims: readonly number[] },
): Handle<'value'> {
  return library.make('CreateTensorAsOrtValue', allocator, dimsArray(dims), dims.length, TYPES.indexOf(type) + 1);
}

/** An OrtValue over memory of ours (by itself the processor's): no copy. The memory must outlive the value. */
export function valueAt({ library, cpuMemory }: Environment, tensor: PlacedTensor, memory = cpuMemory): Handle<'value'> {
  const needed = byteSize(tensor.type, elementCount(tensor.dims));
  if (needed > tensor.bytes)
    throw new SurgeryError(
      'shape-mismatch',
      `A ${tensor.type} tensor of [${tensor.dims.join(', ')}] needs ${needed} bytes, but has ${tensor.bytes}`,
    );
  const address = needed === 0 ? NOTHING : tensor.address;
  const code = TYPES.indexOf(tensor.type) + 1;
  return library.make('CreateTensorWithDataAsOrtValue', memory, address, needed, dimsArray(tensor.dims), tensor.dims.length, code);
}

function stringValue({ library, allocator }: Environment, dims: readonly number[], strings: readonly Uint8Array[]): Handle<'value'> {
  const value = library.make('CreateTensorAsOrtValue', allocator, dimsArray(dims), dims.length, STRING);
  const texts = strings.map((s) => Buffer.concat([s, Buffer.of(0)]));
  const pointers = BigUint64Array.from([...texts.map((t) => koffi.address(t)), 0n]);
  library.api.FillStringTensor(value, pointers, strings.length);
  return value;
}

const dimsArray = (dims: readonly number[]): BigInt64Array => (dims.length === 0 ? NOTHING : BigInt64Array.from(dims, BigInt));

/** Copies a value that onnxruntime allocated into JavaScript memory. */
export function readValue(environment: Environment, value: Handle<'value'>, name: string): Tensor {
  const { api, make } = environment.library;
  const isTensor = new Int32Array(1);
  api.IsTensor(value, isTensor);
  if (isTensor[0] === 0) throw new SurgeryError('runtime-failed', `Output ${name} is not a tensor; sequences and maps cannot be read`);
  const info = make('GetTensorTypeAndShape', value);
  try {
    const number = new BigUint64Array(1);
    api.GetDimensionsCount(info, number);
    const dims = new BigInt64Array(Number(number[0]) || 1);
    api.GetDimensions(info, dims, Number(number[0]));
    const code = new Int32Array(1);
    api.GetTensorElementType(info, code);
    const type = TYPES[(code[0] ?? 0) - 1];
    if (type === undefined) throw new SurgeryError('runtime-failed', `Output ${name} has the unknown element type ${code[0]}`);
    return readTensor(environment, value, type, Array.from(dims.subarray(0, Number(number[0])), Number));
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(info);
  }
}

function readTensor(environment: Environment, value: Handle<'value'>, type: ElementType, dims: number[]): Tensor {
  const count = elementCount(dims);
  if (type === 'string') return { type, dims, data: readStrings(environment, value, count) };
  const data = newArray(type, count);
  const pointer = new BigUint64Array(1);
  if (count > 0) {
    environment.library.api.GetTensorMutableData(value, pointer);
    copyFrom(pointer[0] ?? 0n, data);
  }
  return { type, dims, data };
}

function readStrings({ library: { api } }: Environment, value: Handle<'value'>, count: number): Uint8Array[] {
  if (count === 0) return [];
  const length = new BigUint64Array(1);
  api.GetStringTensorDataLength(value, length);
  const total = Number(length[0]);
  const bytes = new Uint8Array(total + 1);
  const offsets = new BigUint64Array(count);
  api.GetStringTensorContent(value, bytes, total, offsets, count);
  return Array.from(offsets, (from, i) => bytes.slice(Number(from), i + 1 < count ? Number(offsets[i + 1]) : total));
}

/**
 * The OrtValue of one input or output of a program. It is kept from run to run as long as the same array is given with the same shape, and
 * does not keep that array alive.
 */
export class ValueSlot {
  #handle: Handle<'value'> | undefined;
  #data: WeakRef<TypedArray> | undefined;
  #type: ElementType = 'float32';
  #dims: readonly number[] = [];

  constructor(
    private readonly environment: Environment,
    private readonly name: string,
  ) {}

  /** @throws SurgeryError 'shape-mismatch' when the array does not have the elements that the shape says. */
  valueOf(tensor: Tensor): Handle<'value'> {
    const { type, dims, data } = tensor;
    const length = ArrayBuffer.isView(data) ? data.byteLength : data.length;
    const count = elementCount(dims);
    const expected = type === 'string' ? count : byteSize(type, count);
    if (length !== expected)
      throw new SurgeryError(
        'shape-mismatch',
        `${this.name} holds ${length} ${type === 'string' ? 'strings' : 'bytes'}; ${type} [${dims.join(', ')}] needs ${expected}`,
      );
    if (!ArrayBuffer.isView(data)) return this.#keep(stringValue(this.environment, dims, data), undefined, tensor);
    if (this.#handle !== undefined && this.#data?.deref() === data && this.#type === type && sameDims(this.#dims, dims))
      return this.#handle;
    const address = length === 0 ? 0n : koffi.address(data);
    return this.#keep(valueAt(this.environment, { type, dims, address, bytes: length }), new WeakRef(data), tensor);
  }

  #keep(handle: Handle<'value'>, data: WeakRef<TypedArray> | undefined, { type, dims }: Tensor): Handle<'value'> {
    this.release();
    this.#handle = handle;
    this.#data = data;
    this.#type = type;
    this.#dims = [...dims];
    return handle;
  }

  release(): void {
    if (this.#handle !== undefined) this.environment.library.api.ReleaseValue(this.#handle);
    this.#handle = undefined;
    this.#data = undefined;
  }
}

const sameDims = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
