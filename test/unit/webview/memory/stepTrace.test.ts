import assert from 'node:assert/strict';
import { StepTrace } from '../../../../webview/memory/stepTrace';

describe('memory page: the pool within a step', () => {
  const stretch = (ms: number[], bytes: number[], isFirst: boolean, isLast: boolean) => ({
    ms,
    bytes,
    isFirst,
    isLast,
    stepMs: (ms.at(-1) ?? 0) + 5,
  });

  it('joins the stretches of a step and keeps the whole step before', () => {
    const trace = new StepTrace();
    trace.add(1, stretch([5, 10], [100, 300], true, false));
    trace.add(1, stretch([20], [200], false, true));
    const whole = [
      [0.005, 100],
      [0.01, 300],
      [0.02, 200],
      [0.025, 200],
    ];
    assert.deepEqual(trace.current, whole);
    trace.add(2, stretch([5], [100], true, false));
    assert.deepEqual([trace.current, trace.previous], [[[0.005, 100]], whole]);
    trace.add(3, stretch([50], [100], false, false));
    assert.equal(trace.current.length, 1, 'the beginning of step 3 was missed');
    trace.add(4, stretch([7], [70], true, false));
    assert.deepEqual(trace.previous, whole, 'step 2 was never whole');
  });

  it('keeps the peak of a long step in few points', () => {
    const trace = new StepTrace();
    for (let i = 0; i < 100; i++)
      trace.add(
        1,
        stretch(
          Array.from({ length: 50 }, (_, j) => 200 * i + 4 * j),
          Array.from({ length: 50 }, (_, j) => (i === 61 && j === 17 ? 999 : 10 + (j % 7))),
          i === 0,
          i === 99,
        ),
      );
    assert.ok(trace.current.length <= 600 && trace.current.length >= 250);
    assert.ok(trace.current.some(([seconds, bytes]) => bytes === 999 && seconds === 12.268));
  });
});
