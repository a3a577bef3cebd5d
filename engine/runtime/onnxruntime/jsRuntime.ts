import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor, TypedArray } from '../../graph/tensor';
import { RunQueue } from '../runQueue';
import type { CompileOptions, Device, Program, RunOptions, Runtime } from '../runtime';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { processorDevice } from './devices';
import { runtimeError } from './session';

type Binding = typeof import('onnxruntime-node');

/** onnxruntime through its JavaScript binding: copies every output, blocks the calling thread while it runs, cancels between runs only. */
export class JsRuntime implements Runtime {
  readonly name = 'onnxruntime (JavaScript binding)';
  readonly devices: readonly Device[] = [processorDevice()];

  async compile(graph: Graph, options: CompileOptions = {}): Promise<Program> {
    return this.compileBytes(encodeOnnx(graph), options, graph.name);
  }

  async compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label = 'The model'): Promise<Program> {
    if ((options.device ?? 'cpu') !== 'cpu')
      throw new SurgeryError('option-invalid', `Device ${options.device} needs onnxruntime's C API, which is not available here`);
    try {
      const binding = await import('onnxruntime-node');
      const session = await binding.InferenceSession.create(bytes, sessionOptions(options));
      return new JsProgram(binding, session, label);
    } catch (error) {
      throw runtimeError(error, `${label} cannot be compiled`);
    }
  }
}

function sessionOptions({ threads, lowMemory, optimisation }: CompileOptions): InferenceSession.SessionOptions {
  return {
    graphOptimizationLevel: optimisation === 'none' ? 'disabled' : (optimisation ?? 'all'),
    logSeverityLevel: 4,
    enableCpuMemArena: !lowMemory,
    enableMemPattern: !lowMemory,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
}

class JsProgram implements Program {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #queue: RunQueue;

  constructor(
    private readonly binding: Binding,
    private readonly session: InferenceSession,
    private readonly label: string,
  ) {
    this.inputs = session.inputNames;
    this.outputs = session.outputNames;
    this.#queue = new RunQueue(label);
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    this.#checkCancelled(signal);
    const given = Object.fromEntries(this.inputs.map((name) => [name, this.#toOrt(name, feeds.get(name))]));
    try {
      const results = await this.session.run(given);
      this.#checkCancelled(signal);
      return new Map(this.outputs.map((name) => [name, this.#fromOrt(name, results[name], into?.get(name))]));
    } catch (error) {
      throw runtimeError(error, `${this.label} failed`);
    }
  }

  #checkCancelled(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw new SurgeryError('cancelled', `The run of ${this.label} was cancelled`);
  }

  #toOrt(name: string, tensor: Tensor | undefined): OrtTensor {
    if (!tensor) throw new SurgeryError('runtime-failed', `${this.label} needs the input ${name}`);
    const data = ArrayBuffer.isView(tensor.data) ? unshared(tensor.data) : tensor.data.map((s) => Buffer.from(s).toString());
    return new this.binding.Tensor(tensor.type as 'float32', data as Float32Array, tensor.dims);
  }

  #fromOrt(name: string, result: OrtTensor | undefined, target: Tensor | undefined): Tensor {
    if (!result?.dims) throw new SurgeryError('runtime-failed', `Output ${name} is not a tensor; sequences and maps cannot be read`);
    const data = result.type === 'string' ? (result.data as string[]).map((s) => Buffer.from(s)) : (result.data as unknown as TypedArray);
    if (!target) return { type: result.type, dims: result.dims, data };
    if (target.dims.join() !== result.dims.join() || target.type !== result.type || !ArrayBuffer.isView(target.data))
      throw new SurgeryError(
        'shape-mismatch',
        `Output ${name} of ${this.label} is ${result.type} [${result.dims.join(', ')}], not ${target.type} [${target.dims.join(', ')}]`,
      );
    (target.data as Float32Array).set(data as Float32Array);
    return target;
  }

  dispose(): void {
    this.#queue.close(() => void this.session.release());
  }
}

/** The binding takes no memory that threads share. */
const unshared = (data: TypedArray): TypedArray => (data.buffer instanceof SharedArrayBuffer ? data.slice() : data);
