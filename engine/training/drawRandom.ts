import type { Distribution } from '../autodiff/perturbation';
import { Random } from '../graph/random';

/** Fills `into` with independent values; the same seeds give the same values. */
export function drawInto(into: Float32Array, distribution: Distribution, seeds: readonly number[]): void {
  const random = new Random(...seeds);
  switch (distribution.kind) {
    case 'dropout':
      return drawDropout(into, distribution.ratio, random);
    case 'normal':
      return drawNormals(into, random);
    case 'sign':
      return drawSigns(into, random);
  }
}

/** Marsaglia's polar method on 32-bit uniforms, whose steps are finer than float32 shows. */
function drawNormals(into: Float32Array, random: Random): void {
  for (let i = 0; i < into.length;) {
    const u = random.bits() / 2 ** 31 - 1;
    const v = random.bits() / 2 ** 31 - 1;
    const square = u * u + v * v;
    if (square >= 1 || square === 0) continue;
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    into[i++] = u * factor;
    if (i < into.length) into[i++] = v * factor;
  }
}

function drawDropout(into: Float32Array, ratio: number, random: Random): void {
  const threshold = ratio * 2 ** 32;
  const kept = 1 / (1 - ratio);
  for (let i = 0; i < into.length; i++) into[i] = random.bits() < threshold ? 0 : kept;
}

/** One draw of 32 bits for 32 signs. */
function drawSigns(into: Float32Array, random: Random): void {
  for (let i = 0, bits = 0; i < into.length; i++, bits >>>= 1) {
    if ((i & 31) === 0) bits = random.bits();
    into[i] = bits & 1 ? 1 : -1;
  }
}
