import type { Graph } from '../../graph/graph';
import type { LoweredGraph } from '../../memory/lowerGraph';
import type { Operation } from '../../memory/program';
import type { TfjsModule, TfjsResult } from '../../ops/opRecord';
import { lastPermutation } from '../../ops/tfjs/layout';
import { tfjsType } from '../../ops/tfjs/shape';
import type { Operator } from './operators';
import { StorageValues } from './storageValues';

interface Measured {
  readonly bytes: number;
  /** Which writes come with the channels last. */
  readonly last: readonly boolean[];
}

/**
 * Bytes that the kernels of each operation hold beyond its inputs and outputs, as tfjs counts them. Each kind of operator runs once on zeros for
 * it, with nothing but its own inputs on the device.
 */
export async function measureWorkspaces(
  tf: TfjsModule,
  graph: Graph,
  lowered: LoweredGraph,
  operators: readonly Operator[],
): Promise<number[]> {
  const known = new Map<string, Measured>();
  const last = new Set<number>();
  const bytes: number[] = [];
  for (const [i, operation] of lowered.program.operations.entries()) {
    const operator = operators[i] as Operator;
    const key = signatureOf(graph, lowered, operator, last);
    const measured = known.get(key) ?? (await measure(tf, graph, lowered, operator, operation, last));
    known.set(key, measured);
    operation.writes.forEach((storage, at) => storage !== undefined && measured.last[at] && last.add(storage));
    bytes.push(measured.bytes);
  }
  return bytes;
}

async function measure(
  tf: TfjsModule,
  graph: Graph,
  lowered: LoweredGraph,
  operator: Operator,
  operation: Operation,
  last: ReadonlySet<number>,
): Promise<Measured> {
  const values = new StorageValues(tf, graph, lowered);
  const { storages } = lowered.program;
  try {
    for (const storage of operation.reads) values.set(storage, zeros(tf, lowered, storage, last.has(storage)));
    const before = tf.memory().numBytes;
    const { peakBytes } = await tf.profile(() => {
      values.run(operator, operation);
      return [];
    });
    const made = operation.writes.filter((id): id is number => id !== undefined && !storages[id]?.pinned);
    const sizes = made.map((id) => storages[id]?.bytes ?? 0);
    const counted = operation.recomputable ? Math.min(...sizes, Infinity) : sizes.reduce((a, b) => a + b, 0);
    const isLast = operation.writes.map((id) => id !== undefined && values.has(id) && 'channelsLast' in values.result(id));
    return {
      bytes: Math.max(0, Math.max(peakBytes, tf.memory().numBytes) - before - (Number.isFinite(counted) ? counted : 0)),
      last: isLast,
    };
  } finally {
    values.disposeAll();
  }
}

function zeros(tf: TfjsModule, { program, places }: LoweredGraph, storage: number, last: boolean): TfjsResult {
  const place = places.get(program.storages[storage]?.name ?? '');
  const dims = [...(place?.dims ?? [])];
  const type = tfjsType(place?.type ?? 'float32');
  return last
    ? {
        channelsLast: tf.zeros(
          lastPermutation(dims.length).map((axis) => dims[axis] ?? 1),
          type,
        ),
      }
    : tf.zeros(dims, type);
}

/** Equal for operators that do the same with values of the same shapes. */
function signatureOf(graph: Graph, { program, places }: LoweredGraph, { node, opset }: Operator, last: ReadonlySet<number>): string {
  const inputs = node.inputs.map((name) => {
    const place = places.get(name);
    if (place) return [place.type, place.dims, last.has(place.storage), places.get(program.storages[place.storage]?.name ?? '')?.dims];
    const constant = graph.initializers.get(name);
    return constant ? [constant.type, constant.dims, String(constant.data)] : [];
  });
  const outputs = node.outputs.map((name) => [name !== '', places.has(name)]);
  const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
  return JSON.stringify([node.op, node.domain, opset, [...node.attributes], inputs, outputs], plain);
}
