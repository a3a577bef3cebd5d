/** Time and processor time to find all channel groups, the first time and later: ResNet-152, and a generated network of 10,000 nodes. npx tsx test/bench/groupTime.ts */
import { createModel } from '../../engine/architectures/createModel';
import { float32 } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import type { Graph } from '../../engine/graph/graph';
import { findChannelGroups } from '../../engine/pruning/channelGroups';

/** Residual blocks of Conv, Relu, Conv, Add, Relu with 16 channels and a stage change every hundred. */
function generated(nodes: number): Graph {
  const builder = new GraphBuilder('generated');
  let count = 0;
  const conv = (x: string, from: number, to: number): string =>
    builder.emit('Conv', [x, builder.initializer(`w${count++}`, float32([to, from, 3, 3]))], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  let x = conv(builder.input('x', ['N', 3, 8, 8]), 3, 16);
  while (builder.graph.nodes.length < nodes - 5) {
    if (count % 200 === 1) x = conv(x, 16, 16);
    const y = conv(builder.emit('Relu', [conv(x, 16, 16)]), 16, 16);
    x = builder.emit('Relu', [builder.emit('Add', [x, y])]);
  }
  const flat = builder.emit('Flatten', [builder.emit('GlobalAveragePool', [x])]);
  builder.output(builder.emit('Gemm', [flat, builder.initializer('out', float32([10, 16]))], { transB: 1 }));
  return builder.graph;
}

function time(name: string, graph: Graph): void {
  const runs: { wall: number; processor: number }[] = [];
  let groups = 0;
  for (let i = 0; i < 9; i++) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    groups = findChannelGroups(graph).groups.length;
    const { user, system } = process.cpuUsage(used);
    runs.push({ wall: performance.now() - start, processor: (user + system) / 1000 });
  }
  const told = (key: 'wall' | 'processor'): string => {
    const times = runs.map((run) => run[key]);
    const sorted = times.slice().sort((a, b) => a - b);
    return `first ${times[0]?.toFixed(0)}, median ${sorted[4]?.toFixed(0)}, least ${sorted[0]?.toFixed(0)} ms`;
  };
  console.log(`${name}: ${graph.nodes.length} nodes, ${groups} groups; processor ${told('processor')}; wall ${told('wall')}`);
}

time('ResNet-152', createModel('resnet152', { input: [3, 224, 224], classes: 1000, seed: 1 }));
time('generated', generated(10_000));
