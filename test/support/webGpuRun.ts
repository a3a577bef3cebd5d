import { createModel } from '../../engine/architectures/createModel';
import { CRuntime } from '../../engine/runtime/onnxruntime/cRuntime';
import type { MemoryPolicy } from '../../engine/contract/memory';
import { timelineOf } from '../../engine/memory/timeline';
import { ScheduledGpuProgram } from '../../engine/runtime/onnxruntime/scheduledGpuProgram';
import type { CompileOptions, MemoryOptions, Program, Runtime } from '../../engine/runtime/runtime';
import type { Graph } from '../../engine/graph/graph';
import { residualNetwork, trainOnNoise } from './smallNetworks';
import { tightBudget } from './tightBudget';

export interface Budgeted {
  readonly losses: readonly number[];
  readonly poolBytes: number;
  /** Most bytes of the plan, and of the buffers that there were. */
  readonly planned: number;
  readonly held: number;
  readonly moved: number;
  readonly recomputations: number;
}

/** A process of its own, because a faulty driver takes its process along: trains on the CPU and four times at once on WebGPU, and prints what came out. */
async function main(): Promise<void> {
  const runtime = new CRuntime();
  const notes: string[] = [];
  const noting: Runtime = {
    name: runtime.name,
    devices: runtime.devices,
    compile: (graph: Graph, options?: CompileOptions) => runtime.compile(graph, { ...options, log: (message) => notes.push(message) }),
    compileBytes: (bytes, options, label) => runtime.compileBytes(bytes, options, label),
  };
  const network = residualNetwork();
  const cpu = await trainOnNoise(runtime, network, { steps: 30 });
  const memory: number[] = [];
  const [first, second] = await Promise.all([
    trainOnNoise(noting, network, { steps: 30, device: 'webgpu', afterStep: () => memory.push(process.memoryUsage().rss) }),
    trainOnNoise(runtime, network, { steps: 5, device: 'webgpu' }),
    ...[1, 2].map(() => trainOnNoise(runtime, network, { steps: 1, device: 'webgpu' })),
  ]);
  const budgeted: Budgeted[] = [];
  for (const policy of ['liveness', 'auto'] as const) budgeted.push(await trainWithin(runtime, network, policy));
  const lstm = createModel('lstm', { input: [5, 3], classes: 4, hidden: 6, seed: 2 });
  const recurrent: number[][] = [];
  for (const more of [{}, { device: 'webgpu' }, { device: 'webgpu', memory: {} }])
    recurrent.push([...(await trainOnNoise(runtime, lstm, { steps: 3, input: [5, 3], ...more })).losses]);
  const weights = (name: string, from: typeof cpu): number[] => Array.from(from.weights.get(name)?.data as Float32Array);
  process.stdout.write(
    JSON.stringify({
      cpu: cpu.losses,
      first: first.losses,
      second: second.losses,
      memory,
      notes,
      budgeted,
      recurrent,
      mean: [weights('n1.mean', cpu), weights('n1.mean', first)],
    }),
  );
  process.exit(0);
}

/** A few steps in the least memory that a policy can do with. */
async function trainWithin(runtime: CRuntime, network: Graph, policy: MemoryPolicy): Promise<Budgeted> {
  const programs: ScheduledGpuProgram[] = [];
  const compile = async (graph: Graph, options: CompileOptions = {}): Promise<Program> => {
    const scheduled = async (memory: MemoryOptions): Promise<ScheduledGpuProgram> => {
      const program = await runtime.compile(graph, { ...options, device: 'webgpu', memory });
      if (!(program instanceof ScheduledGpuProgram)) throw new Error('no scheduled program');
      return program;
    };
    const whole = await scheduled({ policy: 'liveness' });
    const budget = tightBudget(whole.program, policy);
    whole.dispose();
    const program = await scheduled({ policy, budget });
    programs.push(program);
    return program;
  };
  const budgeting = { name: runtime.name, devices: runtime.devices, compile, compileBytes: runtime.compileBytes.bind(runtime) };
  const { losses } = await trainOnNoise(budgeting, network, { steps: 5, device: 'webgpu', memory: { policy } });
  const [program] = programs as [ScheduledGpuProgram];
  const { poolBytes, trafficBytes, recomputations } = program.schedule;
  const planned = Math.max(
    ...timelineOf(program.program, program.schedule, (bytes) => bytes).map(({ bytes }) => Object.values(bytes).reduce((a, b) => a + b, 0)),
  );
  return { losses, poolBytes, planned, held: program.buffers.peakBytes, moved: trafficBytes, recomputations };
}

main().catch((error: unknown) => {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  process.exit(0);
});
