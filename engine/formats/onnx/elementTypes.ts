import type { ElementType } from '../../graph/tensor';
import { TensorProto_DataType as DataType } from './onnx_pb';

const TYPES: Readonly<Record<ElementType, DataType>> = {
  float32: DataType.FLOAT,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  uint16: DataType.UINT16,
  int16: DataType.INT16,
  int32: DataType.INT32,
  int64: DataType.INT64,
  string: DataType.STRING,
  bool: DataType.BOOL,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
  uint32: DataType.UINT32,
  uint64: DataType.UINT64,
  complex64: DataType.COMPLEX64,
  complex128: DataType.COMPLEX128,
  bfloat16: DataType.BFLOAT16,
  float8e4m3fn: DataType.FLOAT8E4M3FN,
  float8e4m3fnuz: DataType.FLOAT8E4M3FNUZ,
  float8e5m2: DataType.FLOAT8E5M2,
  float8e5m2fnuz: DataType.FLOAT8E5M2FNUZ,
  uint4: DataType.UINT4,
  int4: DataType.INT4,
  float4e2m1: DataType.FLOAT4E2M1,
  float8e8m0: DataType.FLOAT8E8M0,
  uint2: DataType.UINT2,
  int2: DataType.INT2,
};

const NAMES = new Map<number, ElementType>(Object.entries(TYPES).map(([name, code]) => [code, name as ElementType]));

/** ONNX's number of an element type. */
export const toDataType = (type: ElementType): DataType => TYPES[type];

/** Undefined for a number that ONNX has not given out. */
export const fromDataType = (code: number): ElementType | undefined => NAMES.get(code);
