import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { createModel } from '../../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../../engine/autodiff/trainingGraph';
import type { MemoryPolicy, PoolTrace } from '../../../engine/contract/memory';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { float32, int64 } from '../../../engine/graph/tensor';
import { lowerGraph } from '../../../engine/memory/lowerGraph';
import { memoryFloor } from '../../../engine/memory/plan';
import { BLOCK_BYTES, blocksOf } from '../../../engine/memory/pool';
import { createPerturbation } from '../../../engine/robustness/noise/createPerturbation';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import type { ScheduledProgram } from '../../../engine/runtime/onnxruntime/scheduledProgram';
import { PoolMeter } from '../../../engine/runtime/poolMeter';
import type { Runtime } from '../../../engine/runtime/runtime';
import { Transfers } from '../../../engine/runtime/transfers';
import { Trainer, type TrainerOptions } from '../../../engine/training/trainer';

const BATCH = 4;
const optimiser = { kind: 'sgd', momentum: 0.9 } as const;

interface Case {
  readonly name: string;
  readonly graph: Graph;
  readonly input: readonly number[];
  readonly options?: Partial<TrainerOptions>;
  /** Policies; those that save memory have a tight budget. */
  readonly policies: readonly MemoryPolicy[];
}

function cases(): Case[] {
  const normed = createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 });
  const pixels = (epsilon: number) => ({ channelAxis: 'first' as const, step: [epsilon], lowest: [-3], highest: [3] });
  const noise = createPerturbation(normed, { method: 'anl', epsilon: 0.3 }, pixels);
  const dropped = createModel('lstm', { input: [6, 6], classes: 4, hidden: 32, dropout: 0.3, seed: 2 });
  return [
    {
      name: 'batch norm and adversarial noise',
      graph: normed,
      input: [3, 16, 16],
      options: { perturbation: noise },
      policies: ['liveness', 'auto'],
    },
    {
      name: 'batch norm, gradients accumulated',
      graph: normed,
      input: [3, 16, 16],
      options: { accumulate: 2 },
      policies: ['none', 'offload', 'recompute'],
    },
    { name: 'recurrent with dropout', graph: dropped, input: [6, 6], policies: ['offload', 'auto'] },
  ];
}

/** A runtime that gives away how far into its pool its last program wrote. */
function watched(): { runtime: Runtime; extentBytes: () => number } {
  const inner = openRuntime();
  let last: Partial<Pick<ScheduledProgram, 'extentBytes'>> = {};
  const compile: Runtime['compile'] = async (graph, options) => {
    const program = await inner.compile(graph, options);
    last = program as Partial<Pick<ScheduledProgram, 'extentBytes'>>;
    return program;
  };
  return {
    runtime: { name: inner.name, devices: inner.devices, compile, compileBytes: inner.compileBytes.bind(inner) },
    extentBytes: () => last.extentBytes ?? NaN,
  };
}

describe('memory: what the executor measures', function () {
  this.timeout(60_000);

  for (const { name, graph, input, options = {}, policies } of cases())
    it(`reaches the planned peak, pool and traffic: ${name}`, async () => {
      const training = buildTrainingGraph(graph, { batch: BATCH, training: true, optimiser, ...options });
      const { program } = lowerGraph(training.graph, { carry: carriedValues(training) });
      const random = new Random(5);
      const size = BATCH * input.reduce((a, b) => a * b, 1);
      const x = float32(
        [BATCH, ...input],
        Float32Array.from({ length: size }, () => random.normal()),
      );
      const y = int64(
        [BATCH],
        Array.from({ length: BATCH }, (_, i) => i % 4),
      );
      let moved = 0;
      for (const policy of policies) {
        const budget = policy === 'none' || policy === 'liveness' ? undefined : memoryFloor(program, policy).bytes;
        const { runtime, extentBytes } = watched();
        const trainer = await Trainer.create(runtime, graph, {
          ...options,
          layout: 'portable',
          batch: BATCH,
          optimiser,
          memory: { policy, budget },
        });
        for (let i = 0; i < 2; i++) {
          const { memory, measured, seconds } = await trainer.step(x, y, 0.01);
          const what = `${policy} within ${budget ?? 'no'} bytes`;
          assert.ok(memory && measured, what);
          assert.equal(measured.peakBytes, memory.peakBytes, what);
          assert.equal(blocksOf(extentBytes()) * BLOCK_BYTES, memory.poolBytes, what);
          assert.equal(measured.trafficBytes, memory.trafficBytes, what);
          assert.ok(memory.poolBytes <= (budget ?? Infinity) && memory.peakBytes <= memory.poolBytes, what);
          assert.ok(measured.waitedSeconds >= 0 && measured.waitedSeconds <= measured.transferSeconds, what);
          assert.ok(measured.transferSeconds <= seconds && measured.transferSeconds > 0 === memory.trafficBytes > 0, what);
          moved += measured.trafficBytes;
        }
        trainer.dispose();
      }
      assert.ok(moved > 0);
    });

  it('tells what the pool holds while a step runs, no more than planned and up to the peak', async () => {
    const graph = createModel('resnet8', { input: [3, 16, 16], classes: 4, seed: 1 });
    const traces: (PoolTrace & { step: number })[] = [];
    const onPool = (step: number, trace: PoolTrace): void => void traces.push({ step, ...trace });
    const trainer = await Trainer.create(openRuntime(), graph, { batch: BATCH, optimiser, memory: { policy: 'liveness' }, onPool });
    const [x, y] = [float32([BATCH, 3, 16, 16]), int64([BATCH], new Array(BATCH).fill(1))];
    const { memory } = await trainer.step(x, y, 0.01);
    trainer.dispose();
    const [first, last] = [traces[0], traces.at(-1)];
    assert.ok(first?.isFirst && last?.isLast && traces.every(({ step }) => step === 1));
    const bytes = traces.flatMap((trace) => trace.bytes);
    const ms = traces.flatMap((trace) => trace.ms);
    assert.equal(Math.max(...bytes), memory?.peakBytes);
    assert.deepEqual(
      ms,
      [...ms].sort((a, b) => a - b),
    );
  });
});

describe('memory: transfers', () => {
  it('counts the time with a transfer under way once, and only the waits within it', async () => {
    const transfers = new Transfers();
    transfers.begin(1, 100, setTimeout(60));
    transfers.begin(2, 50, setTimeout(60));
    await setTimeout(30);
    await transfers.finish(1);
    await transfers.finish(2);
    assert.equal(transfers.finish(2), undefined);
    const { trafficBytes, transferSeconds, waitedSeconds } = transfers.measured;
    assert.equal(trafficBytes, 150);
    assert.ok(transferSeconds >= 0.055 && transferSeconds < 0.11, `${transferSeconds} s`);
    assert.ok(waitedSeconds > 0 && waitedSeconds <= transferSeconds - 0.025, `${waitedSeconds} of ${transferSeconds} s`);
  });

  it('counts no wait for what is over, and tells whoever asks for it that it failed', async () => {
    const transfers = new Transfers();
    transfers.begin(1, 1, Promise.reject(new Error('full')));
    await setTimeout(5);
    await assert.rejects(Promise.resolve(transfers.finish(1)), /full/);
    assert.equal(transfers.measured.waitedSeconds, 0);
    assert.ok(transfers.measured.transferSeconds < 0.005);
  });
});

describe('memory: the meter of a pool', () => {
  it('merges operators that end close together, and sends at most every 100 ms', () => {
    let now = 0;
    const sent: PoolTrace[] = [];
    const meter = new PoolMeter(() => now);
    const run = (operators: number, step: number): void => {
      meter.start((trace) => sent.push(trace));
      for (let i = 0; i < operators; i++, now += step) {
        meter.hold(10);
        meter.mark();
      }
      meter.release(10 * operators);
      meter.end();
    };
    run(1000, 1);
    assert.equal(meter.peakBytes, 10_000);
    assert.ok(sent.length <= 11, `${sent.length} messages in a second`);
    assert.ok(sent.flatMap(({ ms }) => ms).length <= 260);
    assert.equal(Math.max(...sent.flatMap(({ bytes }) => bytes)), 10_000);
    assert.deepEqual([sent[0]?.isFirst, sent.at(-1)?.isLast, sent.filter(({ isFirst }) => isFirst).length], [true, true, 1]);
    sent.length = 0;
    for (let i = 0; i < 100; i++) run(10, 1);
    assert.ok(sent.length >= 8 && sent.length <= 20, `${sent.length} messages in a second of short steps`);
    const firsts = sent.filter(({ isFirst }) => isFirst).length;
    assert.equal(sent.filter(({ isLast }) => isLast).length, firsts);
  });
});
