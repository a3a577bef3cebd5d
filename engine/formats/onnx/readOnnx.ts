import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { SurgeryError } from '../../graph/errors';
import type { Graph, Node } from '../../graph/graph';
import { decodeAttribute } from './attributes';
import { type GraphProto, type ModelProto, ModelProtoSchema, type NodeProto } from './onnx_pb';
import { decodeTensor } from './tensors';
import { decodeValueInfo } from './valueTypes';

/** What the writer needs to give back everything of a file that Scalpel does not look into. */
export interface OnnxSource {
  readonly model?: ModelProto;
  readonly graph: GraphProto;
}

/** Reads an ONNX file; tensors in other files are found beside it. */
export async function readOnnx(file: string): Promise<Graph> {
  if (!existsSync(file)) throw new SurgeryError('file-not-found', `${file} does not exist`);
  if ((await stat(file)).isDirectory()) throw new SurgeryError('file-unsupported', `${file} is a folder; give an .onnx file`);
  return parseOnnx(await readFile(file), file, path.dirname(path.resolve(file)));
}

/** Parses the bytes of an ONNX model. Without a `folder` tensors in other files are refused. */
export function parseOnnx(bytes: Uint8Array, file = 'model', folder?: string): Graph {
  if (bytes.byteLength === 0) throw new SurgeryError('file-malformed', `${file} is empty`);
  const model = decodeModel(bytes, file);
  if (!model.graph || (model.graph.node.length === 0 && model.graph.output.length === 0))
    throw new SurgeryError('file-malformed', `${file} is not an ONNX model: it has no graph`);
  const opsets = new Map(model.opsetImport.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, Number(version)]));
  if (!opsets.has('')) opsets.set('', 1);
  const graph = new GraphReader(file, folder, opsets).read(model.graph);
  return { ...graph, source: { model, graph: model.graph } satisfies OnnxSource };
}

function decodeModel(bytes: Uint8Array, file: string): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new SurgeryError(
      'file-malformed',
      `${file} is not an ONNX model or is cut short: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

class GraphReader {
  constructor(
    private readonly file: string,
    private readonly folder: string | undefined,
    private readonly opsets: Map<string, number>,
  ) {}

  read(proto: GraphProto): Graph {
    const names = new Set(proto.node.map((node) => node.name));
    return {
      name: proto.name,
      opsets: new Map(this.opsets),
      inputs: proto.input.map(decodeValueInfo),
      outputs: proto.output.map(decodeValueInfo),
      initializers: new Map(proto.initializer.map((tensor) => [tensor.name, decodeTensor(tensor, this.file, this.folder)])),
      nodes: uniqueNames(proto.node.map((node, i) => this.readNode(node, i, names))),
      valueInfo: new Map(proto.valueInfo.map((value) => [value.name, decodeValueInfo(value)])),
      source: { graph: proto } satisfies OnnxSource,
    };
  }

  private readNode(proto: NodeProto, index: number, names: ReadonlySet<string>): Node {
    const subgraphs = { decode: (g: GraphProto) => this.read(g), encode: () => failEncode() };
    return {
      name: proto.name || freeName(`${proto.opType}_${index}`, names),
      op: proto.opType,
      domain: proto.domain === 'ai.onnx' ? '' : proto.domain,
      inputs: [...proto.input],
      outputs: [...proto.output],
      attributes: new Map(proto.attribute.map((a) => [a.name, decodeAttribute(a, this.file, this.folder, subgraphs)])),
      source: proto,
    };
  }
}

function failEncode(): never {
  throw new SurgeryError('internal', 'A reader cannot write');
}

const freeName = (wanted: string, names: ReadonlySet<string>): string => (names.has(wanted) ? freeName(`${wanted}_`, names) : wanted);

/** Files may repeat a node's name; messages and plans need it unique. */
function uniqueNames(nodes: Node[]): Node[] {
  const seen = new Set<string>();
  for (const node of nodes) {
    for (let i = 2, base = node.name; seen.has(node.name); i++) node.name = `${base}_${i}`;
    seen.add(node.name);
  }
  return nodes;
}
