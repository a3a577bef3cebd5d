import { CRuntime } from '../../engine/runtime/onnxruntime/cRuntime';
import type { CompileOptions, Runtime } from '../../engine/runtime/runtime';
import type { Graph } from '../../engine/graph/graph';
import { residualNetwork, trainOnNoise } from './smallNetworks';

/** A process of its own, because a faulty driver takes its process along: trains on the CPU and twice at once on WebGPU, and prints what came out. */
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
  ]);
  const weights = (name: string, from: typeof cpu): number[] => Array.from(from.weights.get(name)?.data as Float32Array);
  process.stdout.write(
    JSON.stringify({
      cpu: cpu.losses,
      first: first.losses,
      second: second.losses,
      memory,
      notes,
      mean: [weights('n1.mean', cpu), weights('n1.mean', first)],
    }),
  );
  process.exit(0);
}

main().catch((error: unknown) => {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  process.exit(0);
});
