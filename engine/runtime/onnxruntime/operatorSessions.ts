import { createHash } from 'node:crypto';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { type AttributeValue, type Graph, type Node, newGraph } from '../../graph/graph';
import { type Tensor, bytesOf } from '../../graph/tensor';
import type { ValuePlace } from '../../memory/lowerGraph';
import type { CompileOptions } from '../runtime';
import type { Environment } from './environment';
import { Session } from './session';
import { refusedByWebGpu } from './webGpuForms';

/** A session for one operator; its inputs and outputs are numbered names. */
export interface OperatorSession {
  readonly session: Session;
  /** Values that are fed, and outputs by position, '' where the operator has none. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Sessions of single operators; operators of the same kind, shapes and constants share one. */
export class OperatorSessions {
  private readonly byContent = new Map<string, Promise<Session>>();
  private readonly constantKeys = new Map<Tensor, string>();

  constructor(
    private readonly environment: Environment,
    private readonly graph: Graph,
    private readonly places: ReadonlyMap<string, ValuePlace>,
    private readonly options: CompileOptions,
  ) {}

  get count(): number {
    return this.byContent.size;
  }

  async openAll(nodes: readonly Node[]): Promise<OperatorSession[]> {
    const opened: OperatorSession[] = [];
    for (const node of nodes) opened.push(await this.open(node));
    return opened;
  }

  private async open(node: Node): Promise<OperatorSession> {
    const inputs = [...new Set(node.inputs.filter((input) => input && this.places.has(input)))];
    const key = this.keyOf(node, inputs);
    const session = this.byContent.get(key) ?? this.create(`${node.name} (${node.op})`, this.graphOf(node, inputs));
    this.byContent.set(key, session);
    return { session: await session, inputs, outputs: node.outputs };
  }

  /** The same for operators that one session serves. */
  private keyOf(node: Node, inputs: readonly string[]): string {
    const ends = node.inputs.map((input) => {
      if (!input) return '';
      const at = inputs.indexOf(input);
      return at >= 0 ? at : this.keyOfConstant(this.graph.initializers.get(input));
    });
    const forms = inputs.map((input) => {
      const { type, dims } = this.places.get(input) as ValuePlace;
      return `${type}${dims.join('x')}`;
    });
    const outputs = node.outputs.map((output) => output && (this.places.get(output)?.type ?? 'float32'));
    const attributes = [...node.attributes].map(([name, attribute]) => [name, isPlain(attribute) ? attribute : node.name]);
    return JSON.stringify([node.op, node.domain, attributes, ends, forms, outputs], exactly);
  }

  private keyOfConstant(tensor: Tensor | undefined): string {
    if (!tensor) return '';
    const key = this.constantKeys.get(tensor) ?? keyOfContent(tensor);
    this.constantKeys.set(tensor, key);
    return key;
  }

  private create(label: string, single: Graph): Promise<Session> {
    const bytes = encodeOnnx(single);
    const onGpu = this.options.device === 'webgpu';
    const onProcessor = onGpu ? refusedByWebGpu(single) : [];
    return Session.create(this.environment, bytes, label, { ...this.options, lowMemory: true, profile: false, onProcessor });
  }

  /** Ends the profiling that runs on a GPU are under, and returns the files that it wrote. */
  async endProfiling(): Promise<string[]> {
    const sessions = await Promise.all(this.byContent.values());
    return sessions.map((session) => session.endProfiling());
  }

  async release(): Promise<void> {
    for (const session of await Promise.allSettled(this.byContent.values())) if (session.status === 'fulfilled') session.value.release();
    this.byContent.clear();
  }

  /** The node alone, under numbered names, with its small constants inside. */
  private graphOf(node: Node, inputs: readonly string[]): Graph {
    const graph = newGraph('operator', this.graph.opsets.get('') ?? 17);
    if (node.domain) graph.opsets.set(node.domain, this.graph.opsets.get(node.domain) ?? 1);
    const names = new Map(inputs.map((input, i) => [input, `x${i}`]));
    for (const input of inputs) {
      const { type, dims } = this.places.get(input) as ValuePlace;
      graph.inputs.push({ name: names.get(input) ?? '', type, shape: dims });
    }
    const renamed = node.inputs.map((input, i) => {
      const tensor = names.has(input) ? undefined : this.graph.initializers.get(input);
      if (tensor) graph.initializers.set(`c${i}`, tensor);
      return names.get(input) ?? (tensor ? `c${i}` : '');
    });
    const outputs = node.outputs.map((output, i) => (output ? `y${i}` : ''));
    node.outputs.forEach((output, i) => {
      if (output) graph.outputs.push({ name: `y${i}`, type: this.places.get(output)?.type ?? 'float32' });
    });
    graph.nodes.push({ name: 'operator', op: node.op, domain: node.domain, inputs: renamed, outputs, attributes: node.attributes });
    return graph;
  }
}

/** JSON has no infinities. */
const exactly = (_: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

/** Whether an attribute is told from others by its JSON. */
const isPlain = ({ kind }: AttributeValue): boolean => kind !== 'tensor' && kind !== 'graph' && kind !== 'opaque';

function keyOfContent(tensor: Tensor): string {
  const hash = createHash('sha1').update(`${tensor.type}:${tensor.dims.join()}:`);
  if (tensor.type === 'string') hash.update(JSON.stringify(tensor.data));
  else hash.update(bytesOf(tensor));
  return hash.digest('base64');
}
