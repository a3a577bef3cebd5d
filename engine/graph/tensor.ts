/** Element types of tensors, under ONNX's names (onnx.proto, TensorProto.DataType). */
export type ElementType =
  | 'float32'
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'string'
  | 'bool'
  | 'float16'
  | 'float64'
  | 'uint32'
  | 'uint64'
  | 'complex64'
  | 'complex128'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'uint4'
  | 'int4'
  | 'float4e2m1'
  | 'float8e8m0'
  | 'uint2'
  | 'int2';

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A dense row-major tensor. `bool` is one byte; 16-bit floats are raw bits; types below a byte keep ONNX's packed bytes; strings are a list. */
export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: TypedArray | readonly Uint8Array[];
}

const ARRAY_OF: Partial<Record<ElementType, new (n: number) => TypedArray>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  complex64: Float32Array,
  complex128: Float64Array,
};

/** Bits of one element, or 0 for strings. */
const BITS: Record<ElementType, number> = {
  float32: 32,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  int64: 64,
  string: 0,
  bool: 8,
  float16: 16,
  float64: 64,
  uint32: 32,
  uint64: 64,
  complex64: 64,
  complex128: 128,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  uint4: 4,
  int4: 4,
  float4e2m1: 4,
  float8e8m0: 8,
  uint2: 2,
  int2: 2,
};

/** Number of elements of a shape. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((n, d) => n * d, 1);
}

/** Bytes that `count` elements of a type take. */
export function byteSize(type: ElementType, count: number): number {
  return Math.ceil((BITS[type] * count) / 8);
}

/** A zeroed typed array for `count` elements; complex types hold two numbers an element. */
export function newArray(type: ElementType, count: number): TypedArray {
  const ArrayType = ARRAY_OF[type] ?? Uint8Array;
  if (type === 'complex64' || type === 'complex128') return new ArrayType(2 * count);
  return new ArrayType(ARRAY_OF[type] ? count : byteSize(type, count));
}

/** Views raw little-endian bytes as the type's array; copies only when the bytes are not aligned. */
export function arrayFromBytes(type: ElementType, bytes: Uint8Array): TypedArray {
  const probe = newArray(type, 0);
  const width = probe.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const ArrayType = probe.constructor as new (b: ArrayBufferLike, o: number, n: number) => TypedArray;
  return new ArrayType(aligned.buffer, aligned.byteOffset, Math.floor(bytes.byteLength / width));
}

/** The raw bytes of a numeric tensor, without a copy. */
export function bytesOf(tensor: Tensor): Uint8Array {
  if (!ArrayBuffer.isView(tensor.data)) throw new TypeError('A string tensor has no raw bytes');
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

export function float32(dims: readonly number[], data?: ArrayLike<number>): Tensor & { data: Float32Array } {
  const array = data === undefined ? new Float32Array(elementCount(dims)) : data instanceof Float32Array ? data : Float32Array.from(data);
  return { type: 'float32', dims, data: array };
}

export function int64(dims: readonly number[], data: ArrayLike<number>): Tensor & { data: BigInt64Array } {
  return { type: 'int64', dims, data: BigInt64Array.from(Array.from(data, (v) => BigInt(v))) };
}

/** The elements as JavaScript numbers (integers, floats, booleans as 0 and 1; 16-bit floats decoded). */
export function numbersOf(tensor: Tensor): number[] {
  if (!ArrayBuffer.isView(tensor.data)) throw new TypeError('A string tensor has no numbers');
  if (tensor.type === 'float16') return Array.from(tensor.data as Uint16Array, decodeFloat16);
  if (tensor.type === 'bfloat16') return Array.from(tensor.data as Uint16Array, decodeBfloat16);
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}

function decodeFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
}

function decodeBfloat16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0] ?? NaN;
}

/** Keeps the given positions along one axis, in their order. */
export function takeAlong(tensor: Tensor, axis: number, keep: readonly number[]): Tensor {
  if (!ArrayBuffer.isView(tensor.data)) throw new TypeError('A string tensor cannot be sliced');
  const size = tensor.dims[axis];
  if (size === undefined) throw new RangeError(`Axis ${axis} is outside rank ${tensor.dims.length}`);
  const inner = elementCount(tensor.dims.slice(axis + 1));
  const outer = elementCount(tensor.dims.slice(0, axis));
  const dims = tensor.dims.map((d, i) => (i === axis ? keep.length : d));
  const result = newArray(tensor.type, elementCount(dims));
  const source = tensor.data;
  for (let o = 0, at = 0; o < outer; o++)
    for (const k of keep) {
      const from = (o * size + k) * inner;
      (result as Float32Array).set((source as Float32Array).subarray(from, from + inner), at);
      at += inner;
    }
  return { type: tensor.type, dims, data: result };
}
