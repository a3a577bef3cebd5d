import type { Graph } from '../../graph/graph';

/** The graph as the bytes of an ONNX file. */
export async function compiledBytes(graph: Graph): Promise<Uint8Array> {
  const { encodeOnnx } = await import('../../formats/onnx/encodeOnnx');
  return encodeOnnx(graph);
}
