import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Fit } from '../../../engine/memory/segments';
import { BLOCK_BYTES, Pool, blocksOf } from '../../../engine/memory/pool';
import { constructRoute } from '../../../engine/memory/route';
import { TensorCache } from '../../../engine/memory/tensorCache';

describe('memory: pool', () => {
  for (const fit of ['first', 'best'] as Fit[])
    it(`never overlaps tensors and is whole again once all are freed (${fit} fit)`, () => {
      const action = fc.record({
        bytes: fc.integer({ min: 0, max: 9000 }),
        from: fc.constantFrom('low' as const, 'high' as const),
        victim: fc.nat(),
      });
      fc.assert(
        fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
          const pool = new Pool(40 * BLOCK_BYTES, fit);
          const live = new Map<number, [number, number]>();
          actions.forEach(({ bytes, from, victim }, id) => {
            const offset = pool.allocate(id, bytes, from);
            const blocks = Math.max(1, blocksOf(bytes));
            if (offset === undefined) assert.ok(pool.emptyBytes.every((empty) => empty < blocks * BLOCK_BYTES));
            else {
              const end = offset + blocks * BLOCK_BYTES;
              assert.ok(end <= pool.capacity);
              for (const [from_, to] of live.values()) assert.ok(end <= from_ || to <= offset);
              live.set(id, [offset, end]);
            }
            const ids = [...live.keys()];
            const chosen = ids[victim % (ids.length + 1)];
            if (chosen === undefined) return;
            pool.free(chosen);
            live.delete(chosen);
          });
          for (const id of live.keys()) pool.free(id);
          assert.deepEqual(pool.emptyBytes, [pool.capacity]);
          assert.equal(pool.usedBytes, 0);
        }),
      );
    });

  it('takes the smallest segment that fits with best fit and the first with first fit', () => {
    const offsets = (['first', 'best'] as Fit[]).map((fit) => {
      const pool = new Pool(8 * BLOCK_BYTES, fit);
      pool.allocate(0, 3 * BLOCK_BYTES);
      pool.allocate(1, BLOCK_BYTES);
      pool.allocate(2, BLOCK_BYTES);
      pool.allocate(3, BLOCK_BYTES);
      pool.free(0);
      pool.free(2);
      return pool.allocate(4, BLOCK_BYTES);
    });
    assert.deepEqual(offsets, [0, 4 * BLOCK_BYTES]);
  });
});

describe('memory: tensor cache', () => {
  it('evicts the least recently used tensor, never a locked one, and stores each version once', () => {
    const moves: string[] = [];
    const cache = new TensorCache(3 * BLOCK_BYTES, {
      offload: (id) => moves.push(`out ${id}`),
      prefetch: (id) => moves.push(`in ${id}`),
    });
    const use = (id: number, changed = false): void => {
      cache.acquire(id, BLOCK_BYTES);
      cache.release(id, changed);
    };
    use(1);
    use(2);
    use(3);
    use(1);
    use(4);
    assert.deepEqual(moves, ['out 2']);
    use(2);
    assert.deepEqual(moves, ['out 2', 'out 3', 'in 2']);
    use(3);
    use(4);
    use(1);
    assert.deepEqual(moves.slice(3), ['out 1', 'in 3', 'in 1']);
    for (const id of [1, 3, 4]) cache.acquire(id, BLOCK_BYTES);
    assert.throws(() => cache.acquire(5, BLOCK_BYTES), /in use/);
  });
});

describe('memory: route', () => {
  it('puts every layer once, after all that it reads, for random networks', () => {
    const edges = fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 80 });
    fc.assert(
      fc.property(edges, (pairs) => {
        const next: number[][] = Array.from({ length: 31 }, () => []);
        for (const [a, b] of pairs) if (a < b) next[a]!.push(b);
        const route = constructRoute(next);
        const position = new Map(route.map((layer, at) => [layer, at]));
        assert.equal(position.size, 31);
        next.forEach((successors, a) => successors.forEach((b) => assert.ok(position.get(a)! < position.get(b)!)));
      }),
    );
  });

  it('walks 100,000 layers and names a cycle', () => {
    const chain = Array.from({ length: 100_000 }, (_, i) => (i + 1 < 100_000 ? [i + 1] : []));
    assert.equal(constructRoute(chain).length, 100_000);
    assert.throws(() => constructRoute([[1], [0]]), /cycle/);
  });
});
