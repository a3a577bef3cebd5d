import { SurgeryError } from '../../graph/errors';
import { type ElementType, type Tensor, type TypedArray, elementCount, newArray, numbersOf } from '../../graph/tensor';
import { tfjsType } from '../../ops/tfjs/shape';
import type { TfjsModule, TfjsTensor } from '../../ops/opRecord';

const LIMIT = 2 ** 31;

/** A tensor on the device. tfjs has float32, int32 and bool: other floats become float32, integers must fit 32 bits. */
export function upload(tf: TfjsModule, { type, dims, data }: Tensor, name: string): TfjsTensor {
  if (!ArrayBuffer.isView(data) || type.startsWith('complex'))
    throw new SurgeryError('runtime-failed', `${name} holds ${type} elements; the TensorFlow runtime computes with numbers only`);
  const kind = tfjsType(type);
  const direct = kind === 'float32' ? data instanceof Float32Array : kind === 'int32' ? data instanceof Int32Array : true;
  return tf.tensor((direct ? data : converted({ type, dims, data }, kind, name)) as Float32Array, [...dims], kind);
}

function converted(tensor: Tensor, kind: 'float32' | 'int32' | 'bool', name: string): TypedArray {
  const numbers = numbersOf(tensor);
  if (kind !== 'int32') return Float32Array.from(numbers);
  const large = numbers.find((v) => v >= LIMIT || v < -LIMIT);
  if (large !== undefined)
    throw new SurgeryError(
      'runtime-failed',
      `${name} holds ${large}; the TensorFlow runtime has integers of 32 bits. Use --device cpu for this model`,
    );
  return Int32Array.from(numbers);
}

/** Bytes of `count` elements on the device. */
export const deviceBytes = (type: ElementType, count: number): number => count * (tfjsType(type) === 'bool' ? 1 : 4);

/** Copies a tensor of the device into host memory of an ONNX element type, into `target` where one is given. */
export async function download(tensor: TfjsTensor, type: ElementType, name: string, target?: Tensor): Promise<Tensor> {
  const dims = tensor.shape;
  if (target && (target.dims.join() !== dims.join() || !ArrayBuffer.isView(target.data)))
    throw new SurgeryError('shape-mismatch', `Output ${name} is [${dims.join(', ')}], not [${target.dims.join(', ')}]`);
  const source = await tensor.data();
  const result = target ?? { type, dims, data: newArray(type, elementCount(dims)) };
  fill(result, source);
  return result;
}

function fill({ type, data }: Tensor, source: ArrayLike<number>): void {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < data.length; i++) data[i] = BigInt(Math.trunc(source[i] ?? 0));
  else if (type === 'float16') for (let i = 0; i < data.length; i++) (data as Uint16Array)[i] = toFloat16(source[i] ?? 0);
  else if (type === 'bfloat16') for (let i = 0; i < data.length; i++) (data as Uint16Array)[i] = toBfloat16(source[i] ?? 0);
  else (data as Float32Array).set(source);
}

const bits = new DataView(new ArrayBuffer(4));

/** Nearest half-precision number, ties to even. */
function toFloat16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = size < 2 ** -14 ? -14 : Math.floor(Math.log2(size));
  const steps = roundEven(size / 2 ** (exponent - 10));
  return sign + (size < 2 ** -14 ? steps : ((exponent + 14) << 10) + steps);
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function toBfloat16(value: number): number {
  bits.setFloat32(0, value);
  const whole = bits.getUint32(0);
  return Number.isNaN(value) ? 0x7fc0 : ((whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16) & 0xffff;
}
