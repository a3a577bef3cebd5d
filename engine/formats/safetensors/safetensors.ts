import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { SurgeryError } from '../../graph/errors';
import { type ElementType, type Tensor, arrayFromBytes, byteSize, bytesOf, elementCount } from '../../graph/tensor';

/** Element types by safetensors' names. */
const TYPES: Readonly<Record<string, ElementType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U64: 'uint64',
  U32: 'uint32',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
};
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Begin and end, counted from the end of the header. */
  readonly data_offsets: readonly [number, number];
}

/** Tensors of a safetensors file by name, in file order. Throws SurgeryError 'file-not-found' or 'file-malformed'. */
export function readSafetensors(file: string): Map<string, Tensor> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new SurgeryError('file-not-found', `${file} cannot be read: ${String(error)}`);
  }
  const fail = (reason: string): never => {
    throw new SurgeryError('file-malformed', `${file} is not a safetensors file or is cut short: ${reason}`);
  };
  const headerEnd = bytes.length < LENGTH_BYTES ? Infinity : LENGTH_BYTES + Number(bytes.readBigUInt64LE(0));
  if (headerEnd > bytes.length) fail(`its header should end at byte ${headerEnd}, the file has ${bytes.length}`);
  const body = bytes.subarray(headerEnd);
  return new Map(
    Object.entries(parseHeader(bytes.toString('utf8', LENGTH_BYTES, headerEnd), fail))
      .filter(([name]) => name !== '__metadata__')
      .map(([name, entry]) => [name, decode(name, entry, body, fail)]),
  );
}

function parseHeader(text: string, fail: (reason: string) => never): Record<string, Entry> {
  try {
    return JSON.parse(text) as Record<string, Entry>;
  } catch (error) {
    return fail(`its header is no JSON (${error instanceof Error ? error.message : String(error)})`);
  }
}

function decode(
  name: string,
  { dtype, shape, data_offsets: [begin, end] }: Entry,
  body: Uint8Array,
  fail: (reason: string) => never,
): Tensor {
  const type = TYPES[dtype] ?? fail(`tensor ${name} has element type ${dtype}, which is unknown`);
  const expected = byteSize(type, elementCount(shape));
  if (end - begin !== expected || end > body.byteLength)
    fail(`tensor ${name} needs ${expected} bytes and has ${Math.min(end, body.byteLength) - begin}`);
  return { type, dims: shape, data: arrayFromBytes(type, body.subarray(begin, end)) };
}

/** Writes tensors under their names; the file appears whole or not at all. Throws SurgeryError 'option-invalid' for element types that the format lacks. */
export function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, tensor] of tensors) {
    const dtype = Object.keys(TYPES).find((key) => TYPES[key] === tensor.type);
    if (!dtype) throw new SurgeryError('option-invalid', `Tensor ${name} is ${tensor.type}, which safetensors cannot hold`);
    const data = bytesOf(tensor);
    header[name] = { dtype, shape: tensor.dims, data_offsets: [offset, offset + data.byteLength] };
    parts.push(data);
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  const head = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / ALIGNMENT) * ALIGNMENT - Buffer.byteLength(text) + text.length));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(head.byteLength));
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, Buffer.concat([length, head, ...parts]));
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
