/**
 * Seconds to build, to lower and to plan the training step of deep CIFAR ResNets in the portable layout, within half of the memory that is live at once.
 *
 *     npx tsx test/bench/planningTime.ts [DEPTH...]
 */
import { createModel } from '../../engine/architectures/createModel';
import { buildTrainingGraph, carriedValues } from '../../engine/autodiff/trainingGraph';
import { lowerGraph } from '../../engine/memory/lowerGraph';
import { planMemory } from '../../engine/memory/plan';
import { scheduleWithin } from '../../engine/memory/scheduler';

const depths = process.argv.slice(2).map(Number);

function timed<T>(work: () => T): [T, string] {
  const { user, system } = process.cpuUsage();
  const start = performance.now();
  const result = work();
  const spent = process.cpuUsage({ user, system });
  return [result, `${((performance.now() - start) / 1e3).toFixed(1)} s (${((spent.user + spent.system) / 1e6).toFixed(1)} of processor)`];
}

for (const depth of depths.length > 0 ? depths : [302, 1202, 3338, 10_004]) {
  const network = createModel(`resnet${depth}`, { input: [3, 8, 8], classes: 10, seed: 1 });
  const options = { batch: 8, training: true, optimiser: { kind: 'sgd', momentum: 0.9 } } as const;
  const [training, building] = timed(() => buildTrainingGraph(network, options));
  const [{ program }, lowering] = timed(() => lowerGraph(training.graph, { carry: carriedValues(training) }));
  const [{ peakBytes }, everything] = timed(() => scheduleWithin(program, 2 ** 50, 'liveness'));
  const [plan, planning] = timed(() => planMemory(program, 'auto', Math.floor(peakBytes / 2)));
  console.log(
    `${depth} layers, ${program.operations.length} operators: building ${building}, lowering ${lowering}, without a limit ${everything}, in half ${planning}; ${(plan.trafficBytes / 2 ** 20).toFixed(0)} MiB moved, ${plan.recomputations} computed again`,
  );
}
