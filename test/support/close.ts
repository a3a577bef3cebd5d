import assert from 'node:assert/strict';

/** Relative to the largest expected element, plus absolute; NaN equals only NaN. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number, what = '', absolute = 1e-7): void {
  assert.equal(actual.length, expected.length, `${what}: length`);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i] ?? NaN));
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] ?? NaN, expected[i] ?? NaN];
    if (Number.isNaN(a) && Number.isNaN(e)) continue;
    assert.ok(Math.abs(a - e) <= relative * largest + absolute, `${what}: element ${i} is ${a}, not ${e}`);
  }
}
