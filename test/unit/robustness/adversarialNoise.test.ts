import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Distribution, Perturbation, SiteContext } from '../../../engine/autodiff/perturbation';
import { type TrainingGraph, buildTrainingGraph, initialState } from '../../../engine/autodiff/trainingGraph';
import type { Graph } from '../../../engine/graph/graph';
import { Random } from '../../../engine/graph/random';
import { type Tensor, float32, int64 } from '../../../engine/graph/tensor';
import { GraphBuilder } from '../../../engine/ops/graphBuilder';
import { adversarialNoise } from '../../../engine/robustness/noise/adversarialNoise';
import { drawMagnitude, normalisedNoise } from '../../../engine/robustness/noise/noiseScale';
import { drawInto } from '../../../engine/training/drawRandom';
import { insertionPoints } from '../../../engine/robustness/noise/insertionPoints';
import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { assertClose } from '../../support/close';
import { tensorFlow } from '../../support/tensorFlow';

interface Fixture {
  readonly rate: number;
  readonly momentum: number;
  readonly shapes: Record<string, number[]>;
  readonly start: Record<string, number[]>;
  readonly x: number[];
  readonly y: number[];
  /** By step, site and sample. */
  readonly z: number[][][];
  readonly cases: readonly {
    readonly epsilon: number;
    readonly absolute: boolean;
    readonly losses: number[];
    readonly afterFirst: Record<string, number[]>;
    readonly weights: Record<string, number[]>;
    readonly deviations: number[];
  }[];
}

const fixture = JSON.parse(readFileSync(path.join(__dirname, '../../fixtures/noise/anl.json'), 'utf8')) as Fixture;
const runtime = openRuntime();
const BATCH = 6;

/** The fixture's network: two convolutions with batch norm, ReLU and a linear layer. */
function network(): Graph {
  const builder = new GraphBuilder('noisy');
  const weight = (name: string): string => builder.initializer(name, float32(fixture.shapes[name]!, fixture.start[name]));
  const unit = (x: string, i: number, stride: number): string => {
    const conv = builder.emit(
      'Conv',
      [x, weight(`conv${i}.weight`)],
      { strides: [stride, stride], pads: [1, 1, 1, 1] },
      { name: `conv${i}` },
    );
    const statistics = ['weight', 'bias', 'running_mean', 'running_var'].map((name) => weight(`bn${i}.${name}`));
    const norm = builder.emitNamed('BatchNormalization', [conv, ...statistics], { epsilon: { float: 1e-5 } }, [`bn${i}.out`], {
      name: `bn${i}`,
    });
    return builder.emit('Relu', [norm]);
  };
  const x = unit(unit(builder.input('x', ['N', 2, 6, 6]), 1, 1), 2, 2);
  const pooled = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [x])], { axis: 1 });
  builder.output(builder.emit('Gemm', [pooled, weight('fc.weight'), weight('fc.bias')], { transB: 1 }), 'logits');
  return builder.graph;
}

const optimiser = { kind: 'sgd', momentum: fixture.momentum } as const;
const batch = { x: float32([BATCH, 2, 6, 6], fixture.x), y: int64([BATCH], fixture.y) };

/** Runs steps on one batch with the random inputs given by step and input, and gives what every step put out. */
async function steps(
  graph: Graph,
  training: TrainingGraph,
  random: (step: number, input: number) => ArrayLike<number>,
  count: number,
  on = runtime,
) {
  const program = await on.compile(training.graph);
  const current = initialState(training.state);
  for (const name of training.updated.keys()) current.set(name, graph.initializers.get(name)!);
  const results: Map<string, Tensor>[] = [];
  for (let step = 0; step < count; step++) {
    const feeds = new Map<string, Tensor>([...current, [training.x, batch.x], [training.y, batch.y]]);
    if (training.step) feeds.set(training.step.learningRate, float32([], [fixture.rate]));
    training.randoms.forEach(({ input, dims }, i) => feeds.set(input, float32(dims, random(step, i))));
    const result = await program.run(feeds);
    for (const [name, output] of training.updated) current.set(name, result.get(output)!);
    for (const { input, output } of training.state) current.set(input, result.get(output)!);
    results.push(result);
  }
  program.dispose();
  return { results, current };
}

const numbers = (tensor: Tensor | undefined): Float32Array => tensor!.data as Float32Array;

/** Adversarial noise whose inner values of one site are told by name. */
function watched(graph: Graph, epsilon: number): { perturbation: Perturbation; seen: Map<string, SiteContext & { perturbed: string }> } {
  const inner = adversarialNoise(insertionPoints(graph), epsilon);
  const seen = new Map<string, SiteContext & { perturbed: string }>();
  const perturb = (context: SiteContext): string => {
    const perturbed = inner.perturb(context);
    seen.set(context.site.layer, { ...context, perturbed });
    return perturbed;
  };
  return { perturbation: { ...inner, perturb }, seen };
}

/** The second step's clean gradient, noise and magnitude limits at every site. */
async function secondStep(epsilon: number, seed: number) {
  const graph = network();
  const { perturbation, seen } = watched(graph, epsilon);
  const training = buildTrainingGraph(graph, { batch: BATCH, training: true, optimiser, perturbation });
  for (const { value, perturbed, cleanGradient } of seen.values())
    for (const name of [value, perturbed, cleanGradient ?? '']) training.graph.outputs.push({ name, type: 'float32' });
  const random = new Random(seed);
  const z = Array.from({ length: 4 }, () => Array.from({ length: BATCH }, () => random.normal()));
  const { results } = await steps(graph, training, (step, i) => z[2 * step + i]!, 2);
  return [...seen.values()].map(({ site, value, perturbed, cleanGradient }, i) => {
    const [before, after] = [numbers(results[1]!.get(value)), numbers(results[1]!.get(perturbed))];
    const deviation = numbers(results[0]!.get(training.state.find((s) => s.input === `state/noise/${site.layer}/deviation`)!.output))[0]!;
    return { noise: after.map((v, j) => v - before[j]!), gradient: numbers(results[1]!.get(cleanGradient!)), deviation, z: z[2 + i]! };
  });
}

const drawn = (distribution: Distribution, count: number): Float32Array => {
  const values = new Float32Array(count);
  drawInto(values, distribution, [9]);
  return values;
};

/** Runs what a function emits; its random input is fed as `z`. */
async function emitted(
  inputs: Record<string, readonly number[]>,
  emit: (context: SiteContext) => string,
  feeds: Record<string, Tensor>,
): Promise<Float32Array> {
  const builder = new GraphBuilder('emitted');
  for (const [name, dims] of Object.entries(inputs)) builder.input(name, dims);
  const context = { emitter: builder, value: 'value', random: () => 'z' } as unknown as SiteContext;
  const output = builder.output(emit(context));
  const program = await runtime.compile(builder.graph);
  const result = await program.run(new Map(Object.entries(feeds)));
  program.dispose();
  return numbers(result.get(output));
}

const perSample = (values: Float32Array): Float32Array[] =>
  Array.from({ length: BATCH }, (_, b) => values.subarray((b * values.length) / BATCH, ((b + 1) * values.length) / BATCH));
const largest = (values: Float32Array): number => values.reduce((a, b) => Math.max(a, b), -Infinity);
const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v));

describe('adversarial noise layers', () => {
  for (const { epsilon, absolute, losses, weights, deviations } of fixture.cases)
    for (const [name, on] of [
      ['onnxruntime', runtime],
      ['TensorFlow', tensorFlow],
    ] as const)
      it(`train as the official code does in PyTorch: epsilon ${epsilon}, ${absolute ? 'abs-max' : 'signed max'}, ${name}`, async () => {
        const graph = network();
        const perturbation = adversarialNoise(insertionPoints(graph), epsilon, absolute ? 'abs-max' : 'signed-max');
        const training = buildTrainingGraph(graph, { batch: BATCH, training: true, optimiser, perturbation });
        const { results, current } = await steps(graph, training, (step, i) => fixture.z[step]![i]!, losses.length, on);
        assertClose(
          results.map((r) => numbers(r.get(training.loss))[0]!),
          losses,
          1e-5,
          'losses',
        );
        for (const [parameter, expected] of Object.entries(weights))
          assertClose(numbers(current.get(parameter)), expected, 1e-4, parameter, 1e-6);
        assertClose(
          ['bn1', 'bn2'].map((layer) => numbers(current.get(`state/noise/${layer}/deviation`))[0]!),
          deviations,
          1e-5,
          'deviations',
        );
      });

  it('leave the first step as it is without them, but for batch statistics that count twice', async () => {
    const graph = network();
    const build = (perturbation?: Perturbation): TrainingGraph =>
      buildTrainingGraph(graph, { batch: BATCH, training: true, optimiser, perturbation });
    const plain = await steps(graph, build(), () => [], 1);
    const noisy = await steps(graph, build(adversarialNoise(insertionPoints(graph), 5)), (step, i) => fixture.z[step]![i]!, 1);
    for (const name of Object.keys(fixture.shapes)) {
      const [a, b] = [numbers(plain.current.get(name)), numbers(noisy.current.get(name))];
      if (!name.includes('running')) assertClose(b, a, 1e-6, name);
      else {
        const start = fixture.start[name]!;
        assertClose(
          b,
          Array.from(a, (v, i) => 0.9 * v + (v - 0.9 * start[i]!)),
          1e-5,
          name,
        );
      }
    }
  });

  it('have a largest element of r n / (n + 1e-6) with r in [0, epsilon * deviation], and climb the loss', async () => {
    for (const epsilon of [0.7, -0.7])
      for (const { noise, gradient, deviation, z } of await secondStep(epsilon, 11)) {
        const [noises, gradients] = [perSample(noise), perSample(gradient)];
        gradients.forEach((g, b) => {
          const n = largest(g);
          assert.ok(n > 0, 'the example must have a positive gradient in each sample');
          const r = clamp((z[b]! * Math.abs(epsilon)) / 4 + epsilon / 2, Math.min(0, epsilon), Math.max(0, epsilon)) * deviation;
          const extreme = noises[b]!.reduce((most, v) => (Math.abs(v - r) < Math.abs(most - r) ? v : most), 0);
          assert.ok(Math.abs(extreme - (r * n) / (n + 1e-6)) < 1e-5, `${extreme} is not ${r}`);
          const climb = g.reduce((sum, v, i) => sum + v * noises[b]![i]!, 0);
          assert.ok(epsilon > 0 ? climb >= 0 : climb <= 0, `first-order change ${climb}`);
        });
      }
  });

  it('draw magnitudes around half of epsilon with a deviation of about a quarter', async () => {
    for (const epsilon of [0.4, -0.4]) {
      const count = 50_000;
      const r = await emitted(
        { value: [count, 1], z: [count, 1], deviation: [] },
        (context) => drawMagnitude(context, epsilon, 'deviation'),
        {
          value: float32([count, 1]),
          z: float32([count, 1], drawn({ kind: 'normal' }, count)),
          deviation: float32([], [3]),
        },
      );
      assert.ok(r.every((v) => v * Math.sign(epsilon) >= 0 && Math.abs(v) <= 0.4 * 3 + 1e-6));
      const mean = r.reduce((a, b) => a + b) / count;
      const deviation = Math.sqrt(r.reduce((sum, v) => sum + (v - mean) ** 2, 0) / count);
      assert.ok(Math.abs(mean / (epsilon * 3) - 0.5) < 0.01 && Math.abs(deviation / (0.4 * 3) - 0.24) < 0.01, `${mean} ${deviation}`);
    }
  });

  it('do not depend on the scale of the loss, and flip where no gradient is positive unless divided by its magnitude', async () => {
    const gradient = drawn({ kind: 'normal' }, 2 * 30);
    const noise = (of: Float32Array, scale: 'signed-max' | 'abs-max') =>
      emitted({ value: [2, 30], r: [2, 1] }, (context) => normalisedNoise(context, 'value', 'r', scale), {
        value: float32([2, 30], of),
        r: float32([2, 1], [0.5, 0.25]),
      });
    for (const scale of ['signed-max', 'abs-max'] as const)
      assertClose(
        await noise(
          gradient.map((v) => 1000 * v),
          scale,
        ),
        await noise(gradient, scale),
        1e-5,
      );
    const negative = gradient.map((v) => -Math.abs(v) - 0.1);
    assert.ok(
      (await noise(negative, 'signed-max')).every((v) => v > 0),
      'as the official code does',
    );
    assert.ok((await noise(negative, 'abs-max')).every((v) => v < 0));
  });

  it('take two forward and two backward passes, and share what comes before the first noise', () => {
    const graph = network();
    const count = (perturbation?: Perturbation): Map<string, number> => {
      const { graph: built } = buildTrainingGraph(graph, { batch: BATCH, training: true, optimiser, perturbation });
      const forward = built.nodes.filter((n) => n.op === 'Relu' || (n.op === 'BatchNormalization' && n.attributes.has('training_mode')));
      return new Map(['Relu', 'BatchNormalization'].map((op) => [op, forward.filter((n) => n.op === op).length]));
    };
    assert.deepEqual(
      [...count()],
      [
        ['Relu', 2],
        ['BatchNormalization', 2],
      ],
    );
    assert.deepEqual(
      [...count(adversarialNoise(insertionPoints(graph), 1))],
      [
        ['Relu', 4],
        ['BatchNormalization', 3],
      ],
    );
  });
});
