import { readFileSync } from 'node:fs';
import path from 'node:path';
import { appendBackward } from '../../engine/autodiff/backward';
import type { Graph } from '../../engine/graph/graph';
import { type ElementType, type Tensor, elementCount, float32, newArray } from '../../engine/graph/tensor';
import { GraphBuilder } from '../../engine/ops/graphBuilder';
import type { AttributeInput } from '../../engine/ops/opRecord';
import type { Runtime } from '../../engine/runtime/runtime';
import { assertClose } from './close';

interface Array_ {
  readonly dims: number[];
  readonly data: number[];
}

export interface GradientCase {
  readonly name: string;
  readonly op: string;
  readonly attributes: Record<string, number | string | number[]>;
  readonly inputs: Array_[];
  readonly constants: [ElementType, number[], number[]][];
  readonly weights: number[];
  readonly output: Array_;
  readonly gradients: number[][];
}

export const gradientCases = JSON.parse(
  readFileSync(path.join(__dirname, '../fixtures/gradients/gradients.json'), 'utf8'),
) as GradientCase[];

/** Attributes of ONNX that are floats even where the number is whole. */
const FLOATS = new Set(['alpha', 'beta', 'epsilon', 'momentum', 'bias', 'lambd']);

const attribute = (name: string, value: number | string | number[]): AttributeInput =>
  typeof value === 'number' && FLOATS.has(name) ? { float: value } : value;

function tensorOf([type, dims, values]: [ElementType, number[], number[]]): Tensor {
  const data = newArray(type, elementCount(dims));
  values.forEach((v, i) => (data[i] = type === 'int64' ? BigInt(v) : v));
  return { type, dims, data };
}

/** The operands of a case in ONNX's order. */
function operands(builder: GraphBuilder, { op, constants }: GradientCase, inputs: string[]): string[] {
  const extra = constants.map((c) => builder.constant(tensorOf(c)));
  if (op === 'Where') return [builder.constant({ type: 'bool', dims: [3], data: Uint8Array.of(1, 0, 1) }), ...inputs];
  if (op === 'Resize') return [...inputs, '', builder.floats([4], [1, 1, 2, 2])];
  if (op === 'Pad') return [...inputs, ...extra];
  return [...inputs, ...extra];
}

/** The operator and its gradients as one graph. */
function caseGraph(c: GradientCase): { graph: Graph; inputs: string[]; output: string; gradients: ReadonlyMap<string, string> } {
  const builder = new GraphBuilder('case');
  const inputs = c.inputs.map((input, i) => builder.input(`x${i}`, input.dims));
  const attributes = Object.fromEntries(Object.entries(c.attributes).map(([name, value]) => [name, attribute(name, value)]));
  const training = c.attributes.training_mode === 1;
  const [output = ''] = training
    ? builder.emitAll(c.op, operands(builder, c, inputs), attributes, 3)
    : [builder.emit(c.op, operands(builder, c, inputs), attributes)];
  const forward = [...builder.graph.nodes];
  const seed = builder.input('seed', c.output.dims);
  const gradients = appendBackward(builder, forward, new Map([[output, seed]]), inputs);
  builder.output(output);
  for (const value of gradients.values()) builder.output(value);
  return { graph: builder.graph, inputs, output, gradients };
}

/** Output within 1e-5 and gradients within 1e-4 of PyTorch's. */
export async function checkGradients(runtime: Runtime, c: GradientCase): Promise<void> {
  const { graph, inputs, output, gradients } = caseGraph(c);
  const program = await runtime.compile(graph);
  try {
    const feeds = new Map<string, Tensor>(inputs.map((name, i) => [name, float32(c.inputs[i]!.dims, c.inputs[i]!.data)]));
    feeds.set('seed', float32(c.output.dims, c.weights));
    const used = new Map([...feeds].filter(([name]) => program.inputs.includes(name)));
    const result = await program.run(used);
    assertClose(result.get(output)!.data as Float32Array, c.output.data, 1e-5, 'output');
    inputs.forEach((name, i) => {
      const gradient = gradients.get(name);
      if (!gradient) throw new Error(`No gradient for ${name}`);
      const value = gradient === 'seed' ? c.weights : (result.get(gradient)!.data as Float32Array);
      assertClose(value, c.gradients[i]!, 1e-4, `gradient of input ${i}`, 1e-6);
    });
  } finally {
    program.dispose();
  }
}
