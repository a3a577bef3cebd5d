import assert from 'node:assert/strict';
import fc from 'fast-check';
import { columnsOf } from '../../../../webview/memory/columns';

const values = fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 3000 });

describe('memory page: steps as columns of pixels', () => {
  it('keeps the largest value, however few columns there are', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 1500 }), (steps, width) => {
        const columns = columnsOf(steps, 0, steps.length, width);
        assert.equal(Math.max(...Array.from(columns, (step) => steps[step] ?? NaN)), Math.max(...steps));
      }),
    );
  });

  it('gives each column the largest of the steps that it touches', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 400 }), fc.double({ min: 0, max: 0.9, noNaN: true }), (steps, width, start) => {
        const from = Math.floor(start * steps.length);
        const columns = columnsOf(steps, from, steps.length, width);
        const wide = (steps.length - from) / width;
        columns.forEach((step, column) => {
          const touched = steps.filter((_, s) => s + 1 > from + column * wide + 1e-6 && s < from + (column + 1) * wide - 1e-6);
          assert.ok((steps[step] ?? -1) >= Math.max(...touched), `column ${column}`);
          assert.ok(
            step + 1 >= from + column * wide - 1e-6 && step <= from + (column + 1) * wide + 1e-6,
            `step ${step} is in column ${column}`,
          );
        });
      }),
    );
  });

  it('repeats a step that is wider than a column', () => {
    assert.deepEqual([...columnsOf([5, 9, 7], 0, 3, 6)], [0, 0, 1, 1, 2, 2]);
    assert.deepEqual([...columnsOf([5, 9, 7], 1, 2, 3)], [1, 1, 1]);
  });
});
