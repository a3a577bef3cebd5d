import { type Graph, feedsOf } from '../graph/graph';
import { Random } from '../graph/random';
import { type Tensor, elementCount, newArray } from '../graph/tensor';
import type { Runtime } from '../runtime/runtime';
import type { PrunableNetwork } from './channelGroups';
import type { Selection } from './selection';
import { maskNetwork } from './slice';

/** Random input of two samples: normal, and 0 to 9 where the network takes whole numbers. */
export function randomInputs(graph: Graph, seed = 7, batch = 2): Map<string, Tensor> {
  const random = new Random(seed);
  return new Map(
    feedsOf(graph).map(({ name, type, shape = [] }) => {
      const dims = shape.map((d, i) => (typeof d === 'number' ? d : i === 0 ? batch : 1));
      const data = newArray(type, elementCount(dims));
      for (let i = 0; i < data.length; i++)
        if (type === 'float32' || type === 'float64') data[i] = random.normal();
        else data[i] = typeof data[i] === 'bigint' ? BigInt(random.integer(10)) : type === 'bool' ? random.integer(2) : random.integer(10);
      return [name, { type, dims, data }];
    }),
  );
}

/** Largest difference between two networks' outputs on the same random input, relative to the largest output of the second. */
export async function outputDifference(runtime: Runtime, a: Graph, b: Graph): Promise<number> {
  const feeds = randomInputs(b);
  const [first, second] = [await runOnce(runtime, a, feeds), await runOnce(runtime, b, feeds)];
  let [difference, largest] = [0, 0];
  for (const [name, tensor] of second) {
    const other = first.get(name)?.data as Float32Array | undefined;
    (tensor.data as Float32Array).forEach((v, i) => {
      largest = Math.max(largest, Math.abs(v));
      difference = Math.max(difference, Math.abs(v - (other?.[i] ?? NaN)));
    });
  }
  return largest > 0 ? difference / largest : difference;
}

async function runOnce(runtime: Runtime, graph: Graph, feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>> {
  const program = await runtime.compile(graph);
  try {
    return await program.run(feeds);
  } finally {
    program.dispose();
  }
}

/** How far the pruned network is from the masked one; float32 rounding alone gives about 1e-6. */
export const maskedDifference = (runtime: Runtime, network: PrunableNetwork, pruned: Graph, selection: Selection): Promise<number> =>
  outputDifference(runtime, pruned, maskNetwork(network, selection));
