import { SurgeryError } from '../../graph/errors';
import { type ElementType, type Tensor, arrayFromBytes, bytesOf, byteSize, elementCount, newArray } from '../../graph/tensor';

/** NumPy's type codes (kind and bytes) of the element types that .npy holds. */
const CODE_OF: Partial<Record<ElementType, string>> = {
  float16: 'f2',
  float32: 'f4',
  float64: 'f8',
  int8: 'i1',
  int16: 'i2',
  int32: 'i4',
  int64: 'i8',
  uint8: 'u1',
  uint16: 'u2',
  uint32: 'u4',
  uint64: 'u8',
  bool: 'b1',
};

const TYPE_OF = new Map(Object.entries(CODE_OF).map(([type, code]) => [code, type as ElementType]));

const MAGIC = '\x93NUMPY';

interface Header {
  readonly type: ElementType;
  readonly bigEndian: boolean;
  readonly fortran: boolean;
  readonly dims: readonly number[];
  /** Where the elements start. */
  readonly offset: number;
}

/**
 * Reads one array of the .npy format (NEP 1), versions 1 to 3, either byte order, C or Fortran order.
 * Throws SurgeryError 'data-malformed' naming `label`, offset and reason.
 */
export function parseNpy(bytes: Uint8Array, label: string): Tensor {
  const { type, bigEndian, fortran, dims, offset } = parseHeader(bytes, label);
  const count = elementCount(dims);
  const length = byteSize(type, count);
  if (bytes.length - offset < length)
    throw malformed(label, bytes.length, `ends after ${bytes.length - offset} of ${length} bytes for ${type}[${dims.join(', ')}]`);
  const body = bytes.subarray(offset, offset + length);
  const data = arrayFromBytes(type, bigEndian ? swapped(body, length / Math.max(1, count)) : body);
  const tensor: Tensor = { type, dims, data };
  return fortran && dims.length > 1 ? fromFortran(tensor) : tensor;
}

/** The array in .npy format version 1.0, little-endian, C order, elements aligned to 64 bytes as NumPy writes it. */
export function formatNpy(tensor: Tensor): Uint8Array {
  const code = CODE_OF[tensor.type];
  if (!code) throw new SurgeryError('file-unsupported', `The .npy format has no element type for ${tensor.type}`);
  const order = code.endsWith('1') ? '|' : '<';
  const shape = tensor.dims.length === 1 ? `(${tensor.dims.join()},)` : `(${tensor.dims.join(', ')})`;
  const dictionary = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': ${shape}, }`;
  const headerLength = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const body = bytesOf(tensor);
  const result = Buffer.alloc(10 + headerLength + body.length);
  result.write(`${MAGIC}\x01\x00`, 'latin1');
  result.writeUInt16LE(headerLength, 8);
  result.write(`${dictionary.padEnd(headerLength - 1)}\n`, 10, 'latin1');
  result.set(body, 10 + headerLength);
  return result;
}

function parseHeader(bytes: Uint8Array, label: string): Header {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || buffer.toString('latin1', 0, 6) !== MAGIC)
    throw malformed(label, 0, 'is not an .npy array (no \\x93NUMPY mark)');
  const version = buffer.readUInt8(6);
  if (version < 1 || version > 3) throw malformed(label, 6, `has .npy version ${version}; versions 1 to 3 are known`);
  const start = version === 1 ? 10 : 12;
  const offset = start + (version === 1 ? buffer.readUInt16LE(8) : buffer.readUInt32LE(8));
  if (offset > buffer.length) throw malformed(label, 8, `says its header ends at ${offset}, after the end of the file (${buffer.length})`);
  const text = buffer.toString(version === 3 ? 'utf8' : 'latin1', start, offset);
  const descr = /'descr':\s*'([<>|=])(\w+)'/.exec(text);
  const fortran = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (!descr || fortran === undefined || shape === undefined)
    throw malformed(label, start, `has a header that is not understood (${text.trim()}); plain numeric arrays are read`);
  const type = TYPE_OF.get(descr[2] ?? '');
  if (!type) throw malformed(label, start, `holds elements of NumPy type ${descr[2] ?? ''}; use one of ${[...TYPE_OF.keys()].join(', ')}`);
  const dims = shape.split(',').flatMap((part) => (part.trim() ? [Number(part)] : []));
  return { type, bigEndian: descr[1] === '>', fortran: fortran === 'True', dims, offset };
}

function swapped(body: Uint8Array, width: number): Uint8Array {
  const copy = Buffer.from(body);
  if (width === 2) return copy.swap16();
  if (width === 4) return copy.swap32();
  return width === 8 ? copy.swap64() : copy;
}

/** Column-major elements put in row-major order. */
function fromFortran(tensor: Tensor): Tensor {
  const source = tensor.data as Float64Array;
  const data = newArray(tensor.type, source.length) as Float64Array;
  const { dims } = tensor;
  const strides = dims.map((_, axis) => elementCount(dims.slice(0, axis)));
  const index = dims.map(() => 0);
  for (let at = 0, from = 0; at < data.length; at++) {
    data[at] = source[from] as number;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      const next = (index[axis] as number) + 1;
      from += stride;
      if (next < (dims[axis] as number)) {
        index[axis] = next;
        break;
      }
      from -= stride * next;
      index[axis] = 0;
    }
  }
  return { type: tensor.type, dims, data };
}

const malformed = (label: string, offset: number, reason: string): SurgeryError =>
  new SurgeryError('data-malformed', `${label}, offset ${offset}: ${reason}`, { file: label, offset });
