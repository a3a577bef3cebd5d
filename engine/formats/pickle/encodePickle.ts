/** Plain data: whole numbers, and lists and objects of the like. */
export type Pickled = string | number | null | boolean | object;

/** Opcodes of protocol 2 (Python's Lib/pickletools.py). */
const OP = {
  proto: 0x80,
  stop: 0x2e,
  none: 0x4e,
  true: 0x88,
  false: 0x89,
  int32: 0x4a,
  long: 0x8a,
  text: 0x58,
  list: 0x5d,
  dict: 0x7d,
  mark: 0x28,
  appends: 0x65,
  setItems: 0x75,
} as const;

/** Readers take the items between a mark and its end at once, so that long lists come in parts, as Python writes them. */
const PART = 1000;

/** Python's pickle of plain data, protocol 2. */
export function encodePickle(value: Pickled): Uint8Array {
  const encoder = new Encoder();
  encoder.byte(OP.proto, 2);
  encoder.value(value);
  encoder.byte(OP.stop);
  return encoder.bytes();
}

class Encoder {
  private data = Buffer.alloc(1 << 16);
  private length = 0;

  bytes(): Uint8Array {
    return this.data.subarray(0, this.length);
  }

  byte(...values: readonly number[]): void {
    this.reserve(values.length);
    for (const value of values) this.data[this.length++] = value;
  }

  value(value: Pickled): void {
    if (value === null) this.byte(OP.none);
    else if (typeof value === 'boolean') this.byte(value ? OP.true : OP.false);
    else if (typeof value === 'number') this.integer(value);
    else if (typeof value === 'string') this.text(value);
    else if (Array.isArray(value)) this.list(value as readonly Pickled[]);
    else this.dict(value);
  }

  private integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no whole number that can be pickled`);
    const isShort = value >= -(2 ** 31) && value < 2 ** 31;
    this.byte(...(isShort ? [OP.int32] : [OP.long, 8]));
    this.reserve(8);
    if (isShort) this.data.writeInt32LE(value, this.length);
    else this.data.writeBigInt64LE(BigInt(value), this.length);
    this.length += isShort ? 4 : 8;
  }

  private text(value: string): void {
    const size = Buffer.byteLength(value);
    this.byte(OP.text);
    this.reserve(size + 4);
    this.data.writeUInt32LE(size, this.length);
    this.data.write(value, this.length + 4);
    this.length += size + 4;
  }

  private list(values: readonly Pickled[]): void {
    this.byte(OP.list);
    for (let start = 0; start < values.length; start += PART) {
      this.byte(OP.mark);
      for (const value of values.slice(start, start + PART)) this.value(value);
      this.byte(OP.appends);
    }
  }

  private dict(values: object): void {
    this.byte(OP.dict, OP.mark);
    for (const [key, value] of Object.entries<Pickled>(values as Record<string, Pickled>)) {
      this.text(key);
      this.value(value);
    }
    this.byte(OP.setItems);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.data.length) return;
    const larger = Buffer.alloc(Math.max(2 * this.data.length, this.length + more));
    this.data.copy(larger, 0, 0, this.length);
    this.data = larger;
  }
}
