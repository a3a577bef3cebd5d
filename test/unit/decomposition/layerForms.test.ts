import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describePath, findContractionPath } from '../../../engine/decomposition/contractionPath';
import { foldMatrix, unfoldMatrix } from '../../../engine/decomposition/fold';
import { blockTermCost, blockTermNetwork, blockTermShape, tensorTrainNetwork } from '../../../engine/decomposition/layerForms';
import { parameterCount } from '../../../engine/decomposition/tensorNetwork';
import { costOfShape } from '../../../engine/server/operations/shapeCost';

/** Parameters at (R, N) = (1, 2), (2, 2), (4, 1), (4, 2), (8, 2), and of a tensor train of rank 4, from the paper's formula. */
const COUNTS: [number[], number[], number[]][] = [
  [
    [8, 20, 20, 18],
    [16, 4, 4, 4],
    [722, 1472, 1696, 3392, 13_952, 3360],
  ],
  [
    [320, 180],
    [64, 16],
    [46_722, 93_448, 93_456, 186_912, 373_888, 93_440],
  ],
  [
    [36, 40, 40],
    [32, 4, 8],
    [3266, 6544, 6592, 13_184, 27_136, 8448],
  ],
  [
    [8, 10, 10, 9, 8],
    [16, 2, 2, 4, 4],
    [474, 1008, 1968, 3936, 69_312, 1856],
  ],
  [
    [8, 20, 20, 18],
    [12, 4, 4, 4],
    [658, 1344, 1568, 3136, 13_440, 3232],
  ],
  [
    [8, 20, 20, 18],
    [4, 4, 4, 4],
    [530, 1088, 1312, 2624, 12_416, 2976],
  ],
];

/** I = 4096, J = 256, N = 1, R = 1..4. */
const DEEPER: [number[], number[], number[]][] = [
  [
    [64, 64],
    [16, 16],
    [2049, 4100, 6153, 8208],
  ],
  [
    [16, 16, 16],
    [4, 8, 8],
    [321, 648, 987, 1344],
  ],
  [
    [8, 8, 8, 8],
    [4, 4, 4, 4],
    [129, 272, 465, 768],
  ],
  [
    [4, 4, 4, 4, 4, 4],
    [4, 4, 4, 2, 2, 1],
    [69, 200, 933, 4368],
  ],
];

describe('block-term shapes', () => {
  it("have the paper's parameter counts", () => {
    for (const [inputs, outputs, expected] of COUNTS) {
      const pairs = [[1, 2], [2, 2], [4, 1], [4, 2], [8, 2]] as const; // prettier-ignore
      const counts = pairs.map(([rank, blocks]) => blockTermCost(blockTermShape(inputs, outputs, rank, blocks)).parameters);
      const train = parameterCount(tensorTrainNetwork(inputs, outputs, Array<number>(inputs.length - 1).fill(4)));
      assert.deepEqual([...counts, train], expected, inputs.join());
    }
    for (const [inputs, outputs, expected] of DEEPER)
      assert.deepEqual(
        [1, 2, 3, 4].map((rank) => blockTermCost(blockTermShape(inputs, outputs, rank, 1)).parameters),
        expected,
      );
  });

  it('compress the input matrix of the UCF11 network 17,388.7 times with at most 9.2 million MACs', () => {
    const cost = costOfShape({ inputModes: [8, 20, 20, 18], outputModes: [16, 4, 4, 4], rank: [4], blocks: 2, batch: 1 });
    assert.equal(cost.ratio.toFixed(1), '17388.7');
    assert.equal(cost.denseMacs, 58_982_400);
    assert.ok(cost.macs <= 9_200_000, String(cost.macs));
    assert.equal(
      cost.path.reduce((n, step) => n + step.macs, 0),
      cost.macs,
    );
  });

  it('count the same through their network', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (modes, rank, blocks) => {
          const shape = blockTermShape(modes.map(([i]) => i), modes.map(([, j]) => j), rank, blocks); // prettier-ignore
          assert.equal(parameterCount(blockTermNetwork(shape)), blockTermCost(shape).parameters);
        },
      ),
    );
  });

  it('refuse modes that do not pair', () => {
    assert.throws(() => blockTermShape([2, 3], [2], 1, 1), /do not pair/);
    assert.throws(() => blockTermShape([2, 3], [2, 2], [1, 2, 3], 1), /3 ranks do not fit 2 modes/);
  });
});

describe('contraction order', () => {
  it('rebuilds the weight when the batch is large and the layer small', () => {
    const shape = blockTermShape([4, 4], [4, 4], 8, 2);
    assert.equal(findContractionPath(blockTermNetwork(shape, 4096)).rebuilds, true);
    const wide = blockTermShape([64, 64], [4, 4], 1, 1);
    assert.equal(findContractionPath(blockTermNetwork(wide, 1)).rebuilds, false);
  });

  it('is never dearer than any order that takes the factors one after the other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 3 }), (batch, rank) => {
        const network = blockTermNetwork(blockTermShape([3, 4, 5], [2, 3, 2], rank, 2), batch);
        const { macs } = findContractionPath(network);
        for (const order of [
          [1, 2, 3],
          [1, 3, 2],
          [2, 1, 3],
          [2, 3, 1],
          [3, 1, 2],
          [3, 2, 1],
        ])
          // prettier-ignore
          assert.ok(macs <= sequentialMacs(order, batch, rank), order.join());
      }),
      { numRuns: 30 },
    );
  });

  it('keeps a limit of bytes at a price', () => {
    const network = blockTermNetwork(blockTermShape([2, 8, 8], [8, 2, 2], 3, 2), 64);
    const free = findContractionPath(network);
    const largest = Math.max(...describePath(network, free).map((step) => step.elements));
    const tight = findContractionPath(network, { limit: 4 * largest - 1 });
    assert.ok(describePath(network, tight).every((step) => step.elements < largest));
    assert.ok(tight.macs > free.macs);
    assert.throws(() => findContractionPath(network, { limit: 100 }), /No contraction order keeps/);
  });
});

/** Factors in the order given, then the core, for modes [3,4,5]/[2,3,2] and two blocks. */
function sequentialMacs(order: readonly number[], batch: number, rank: number): number {
  const [inputs, outputs] = [
    [3, 4, 5],
    [2, 3, 2],
  ];
  let [size, total, blocks] = [batch * 60, 0, 2];
  for (const mode of order) {
    const [i, j] = [inputs[mode - 1] ?? 1, outputs[mode - 1] ?? 1];
    total += blocks * size * j * rank;
    size = (size / i) * j * rank * blocks;
    blocks = 1;
  }
  return total + size;
}

describe('fold and unfold', () => {
  it('are exact inverses, and pair the digits of row and column', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 4 }),
        (modes) => {
          const [inputs, outputs] = [modes.map(([i]) => i), modes.map(([, j]) => j)];
          const count = [...inputs, ...outputs].reduce((a, b) => a * b, 1);
          const matrix = Float64Array.from({ length: count }, (_, i) => i);
          assert.deepEqual(unfoldMatrix(foldMatrix(matrix, inputs, outputs), inputs, outputs), matrix);
        },
      ),
    );
    const matrix = Float64Array.from({ length: 24 }, (_, i) => i);
    const folded = foldMatrix(matrix, [2, 3], [2, 2]);
    // row 1*3+2 = 5, column 0*2+1 = 1 is the pair ((1,0), (2,1)): mode positions 2 and 5 of 4 x 6
    assert.equal(folded[2 * 6 + 5], 5 * 4 + 1);
  });
});
