/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna, 2018) started by SplitMix32. The same seeds give the same numbers
 * on every machine; several seeds (a seed and an epoch, say) make independent streams.
 */
export class Random {
  private readonly state: Uint32Array;
  private spare: number | undefined;

  constructor(...seeds: readonly number[]) {
    let mixed = 0;
    for (const seed of seeds) mixed = splitMix((mixed ^ Math.trunc(seed)) >>> 0) ^ splitMix(Math.trunc(seed / 2 ** 32) >>> 0);
    this.state = Uint32Array.from({ length: 4 }, () => splitMix((mixed = (mixed + 0x9e3779b9) >>> 0)));
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.state as unknown as [number, number, number, number];
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** Uniform in [low, high), with 53 random bits. */
  uniform(low = 0, high = 1): number {
    const unit = ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
    return low + (high - low) * unit;
  }

  /** Uniform whole number in [0, count). */
  integer(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** Normal, by Marsaglia's polar method. */
  normal(mean = 0, deviation = 1): number {
    return mean + deviation * this.standardNormal();
  }

  /** Shuffles in place (Fisher and Yates). */
  shuffle<T extends Uint32Array | unknown[]>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const held = items[i];
      items[i] = items[j];
      items[j] = held;
    }
    return items;
  }

  /** The numbers 0 to count - 1 in random order. */
  permutation(count: number): Uint32Array {
    return this.shuffle(Uint32Array.from({ length: count }, (_, i) => i));
  }

  private standardNormal(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    for (;;) {
      const u = this.uniform(-1, 1);
      const v = this.uniform(-1, 1);
      const square = u * u + v * v;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      this.spare = v * factor;
      return u * factor;
    }
  }
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

function splitMix(value: number): number {
  let z = (value + 0x9e3779b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
