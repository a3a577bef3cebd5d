/**
 * How long the first training step of a network in memory takes, by its parts, in a new process: `npx tsx test/bench/firstStep.ts
 * [network:batch:size] [blocked|portable] [threads]`. It reports; it asserts nothing.
 */
import { openRuntime } from '../../engine/runtime/onnxruntime/openRuntime';
import { Trainer } from '../../engine/training/trainer';
import { batchOf, networkOf, parseCase } from './benchCase';

const [name = 'resnet110:8:32', layout = 'blocked', threads = '1'] = process.argv.slice(2);

const spent = (): { clock: number; processor: number } => {
  const { user, system } = process.cpuUsage();
  return { clock: performance.now(), processor: (user + system) / 1000 };
};

async function main(): Promise<void> {
  const item = parseCase(name);
  const network = networkOf(item);
  const { x, y } = batchOf(item.batch, item.input);
  const start = spent();
  let last = start;
  let nodes = 0;
  const lap = (what: string, since = last): void => {
    const now = spent();
    console.log(`${what}: ${(now.clock - since.clock).toFixed(0)} ms, processor ${(now.processor - since.processor).toFixed(0)} ms`);
    last = now;
  };
  const runtime = openRuntime();
  if (layout === 'blocked') await runtime.blockedKernels?.();
  lap('runtime and self-test');
  const compile = runtime.compile.bind(runtime);
  runtime.compile = (graph, options) => {
    nodes = graph.nodes.length;
    lap('graph');
    return compile(graph, options);
  };
  const optimiser = { kind: 'sgd', momentum: 0.9 } as const;
  const options = { batch: item.batch, optimiser, threads: Number(threads), layout: layout as 'blocked' | 'portable' };
  const trainer = await Trainer.create(runtime, network, options);
  lap('session and weights');
  await trainer.step(x, y, 1e-3);
  lap('first step');
  lap(`${name}, ${layout}, ${nodes} nodes, in all`, start);
  trainer.dispose();
}

void main();
