import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { readData } from '../../engine/datasets/fileBytes';
import { tarEntries } from '../../engine/datasets/tar';
import { TensorProtoSchema } from '../../engine/formats/onnx/onnx_pb';
import { decodeTensor } from '../../engine/formats/onnx/tensors';
import type { Graph } from '../../engine/graph/graph';
import type { Tensor } from '../../engine/graph/tensor';
import type { Program } from '../../engine/runtime/runtime';
import { sharedFile } from './shared';

export interface ConformanceCase {
  readonly name: string;
  readonly model: Uint8Array;
  /** Undefined where a value is no tensor (a sequence or an optional). */
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly (Tensor | undefined)[];
  /** How far an output may be from its expected value, beside 1e-4 of that. */
  readonly absolute: number;
}

/** Cases whose expected values ONNX states to four digits. */
const ROUNDED = new Set(['test_averagepool_2d_ceil_last_window_starts_on_pad']);

/** The operator tests of ONNX, or none where they are not. */
export function conformanceCases(): ConformanceCase[] {
  const archive = sharedFile('onnx-conformance', 'onnx-1.21.0-node-simple-selected.tar.gz');
  if (!archive) return [];
  const files = new Map(tarEntries(readData(archive), archive).map(({ name, bytes }) => [name, bytes]));
  const models = [...files.keys()].filter((name) => name.endsWith('/model.onnx'));
  return models.map((model) => {
    const folder = path.posix.dirname(model);
    const read = (kind: string): (Tensor | undefined)[] => {
      const found: (Tensor | undefined)[] = [];
      for (let i = 0; ; i++) {
        const bytes = files.get(`${folder}/test_data_set_0/${kind}_${i}.pb`);
        if (!bytes) return found;
        found.push(tensorOf(bytes));
      }
    };
    return {
      name: path.posix.basename(folder),
      model: files.get(model) ?? new Uint8Array(),
      inputs: read('input'),
      outputs: read('output'),
      absolute: ROUNDED.has(path.posix.basename(folder)) ? 1e-4 : 1e-6,
    };
  });
}

function tensorOf(bytes: Uint8Array): Tensor | undefined {
  try {
    return decodeTensor(fromBinary(TensorProtoSchema, bytes), 'test data');
  } catch {
    return undefined;
  }
}

export const conformanceIndex = (): { readonly [name: string]: unknown } | undefined => {
  const file = sharedFile('onnx-conformance', 'index.json');
  return file ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : undefined;
};

/** Inputs of the case by the graph's names. */
export function feedsOf({ inputs }: ConformanceCase, graph: Graph): Map<string, Tensor> {
  return new Map(graph.inputs.flatMap(({ name }, i) => (inputs[i] ? [[name, inputs[i]] as const] : [])));
}

/** Runs the program on the case's inputs, compares all outputs and disposes of it. */
export async function assertAgrees(program: Program, graph: Graph, c: ConformanceCase): Promise<void> {
  try {
    const result = await program.run(feedsOf(c, graph));
    graph.outputs.forEach(({ name }, i) => {
      const expected = c.outputs[i];
      if (expected) assertSame(result.get(name), expected, c.absolute);
    });
  } finally {
    program.dispose();
  }
}

/** Equal but for 1e-4 of the expected value and `absolute`; NaN equals only NaN. */
function assertSame(actual: Tensor | undefined, expected: Tensor, absolute: number): void {
  assert.deepEqual(actual?.dims, expected.dims);
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [Number(actual.data[i]), Number(expected.data[i])];
    assert.ok(
      a === e || (Number.isNaN(a) && Number.isNaN(e)) || Math.abs(a - e) <= 1e-4 * Math.abs(e) + absolute,
      `element ${i} is ${a}, not ${e}`,
    );
  }
}
