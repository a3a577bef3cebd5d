import { setImmediate } from 'node:timers/promises';
import { SurgeryError } from '../../graph/errors';
import { type Graph, feedsOf } from '../../graph/graph';
import type { ElementType, Tensor } from '../../graph/tensor';
import { inferShapes } from '../../ops/inferShapes';
import type { TfjsModule } from '../../ops/opRecord';
import { RunQueue } from '../runQueue';
import type { Program, Resident, RunOptions } from '../runtime';
import { DeviceValue } from './deviceValue';
import { type Operator, compute, operatorOf } from './operators';
import { download, upload } from './tensors';

interface Step extends Operator {
  /** Values that nothing reads after this step. */
  readonly dead: readonly string[];
}

/** Runs hold the calling thread for at most this long before others get a turn. */
export const TURN_MS = 20;

/** A graph run operator by operator with tfjs kernels; every tensor is disposed right after its last use. */
export class TfjsProgram implements Program, Resident {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly resident: Resident | undefined;
  readonly #types: ReadonlyMap<string, ElementType>;
  readonly #steps: readonly Step[];
  readonly #constants = new Map<string, DeviceValue>();
  readonly #carried = new Map<string, DeviceValue>();
  readonly #queue: RunQueue;
  readonly #times: Map<string, number> | undefined;

  /** @throws SurgeryError when an operator is unknown or has no lowering, naming the node. */
  constructor(
    private readonly tf: TfjsModule,
    private readonly graph: Graph,
    /** Input that each output becomes in the next run, without leaving the device. */
    private readonly carry: ReadonlyMap<string, string> = new Map(),
    profiled = false,
  ) {
    this.resident = carry.size > 0 ? this : undefined;
    const kept = new Set(carry.values());
    this.inputs = feedsOf(graph)
      .map(({ name }) => name)
      .filter((name) => !kept.has(name));
    this.outputs = graph.outputs.map(({ name }) => name).filter((name) => !carry.has(name));
    this.#types = new Map([...inferShapes(graph).types].map(([name, { type }]) => [name, type]));
    this.#steps = stepsOf(graph);
    this.#queue = new RunQueue(graph.name);
    this.#times = profiled ? new Map() : undefined;
  }

  run(feeds: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Promise<Map<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, options));
  }

  write(values: ReadonlyMap<string, Tensor>): Promise<void> {
    return this.#queue.add(async () => {
      for (const [name, tensor] of values) {
        this.#carried.get(name)?.dispose();
        const copy = { ...tensor, data: (tensor.data as Float32Array).slice() };
        this.#carried.set(name, new DeviceValue(this.tf, upload(this.tf, copy, name)));
      }
      return Promise.resolve();
    });
  }

  read(): Promise<Map<string, Tensor>> {
    return this.#queue.add(async () => {
      const result = new Map<string, Tensor>();
      for (const [name, value] of this.#carried) result.set(name, await download(value.plain(), this.#typeOf(name), name));
      return result;
    });
  }

  async #run(feeds: ReadonlyMap<string, Tensor>, { signal, into }: RunOptions): Promise<Map<string, Tensor>> {
    const values = new Map<string, DeviceValue>(this.#carried);
    try {
      for (const name of this.inputs) {
        const tensor = feeds.get(name);
        if (!tensor) throw new SurgeryError('runtime-failed', `${this.graph.name} needs the input ${name}`);
        values.set(name, new DeviceValue(this.tf, upload(this.tf, tensor, `Input ${name}`)));
      }
      await this.#runSteps(values, feeds, signal);
      const results = new Map<string, Tensor>();
      for (const name of this.outputs)
        results.set(name, await download(this.#value(values, name).plain(), this.#typeOf(name), name, into?.get(name)));
      this.#carryOver(values);
      return results;
    } finally {
      const kept = new Set([...this.#carried.values(), ...this.#constants.values()]);
      for (const value of new Set(values.values())) if (!kept.has(value)) value.dispose();
    }
  }

  async #runSteps(values: Map<string, DeviceValue>, feeds: ReadonlyMap<string, Tensor>, signal: AbortSignal | undefined): Promise<void> {
    let turn = performance.now();
    for (const step of this.#steps) {
      if (signal?.aborted) throw new SurgeryError('cancelled', `The run of ${this.graph.name} was cancelled`);
      this.#runStep(step, values, feeds);
      for (const name of step.dead) {
        const value = values.get(name);
        if (!value || this.#carried.get(name) === value) continue;
        value.dispose();
        values.delete(name);
      }
      if (performance.now() - turn < TURN_MS) continue;
      await setImmediate();
      turn = performance.now();
    }
  }

  #runStep(step: Step, values: Map<string, DeviceValue>, feeds: ReadonlyMap<string, Tensor>): void {
    const { node } = step;
    const start = performance.now();
    const results = compute(this.tf, step, {
      value: (name) => this.#value(values, name),
      type: (name) => this.#typeOf(name),
      known: (name) => this.graph.initializers.get(name) ?? feeds.get(name),
    });
    node.outputs.forEach((name, i) => {
      const result = results[i];
      if (!result) return;
      const value = new DeviceValue(this.tf, result);
      if (name) values.set(name, value);
      else value.dispose();
    });
    for (const extra of results.slice(node.outputs.length)) new DeviceValue(this.tf, extra).dispose();
    if (!this.#times) return;
    for (const name of node.outputs.slice(0, 1)) values.get(name)?.[values.get(name)?.forms.plain ? 'plain' : 'channelsLast']().dataSync();
    this.#times.set(node.op, (this.#times.get(node.op) ?? 0) + performance.now() - start);
  }

  /** Constants go to the device when they are first needed there, and stay. */
  #value(values: Map<string, DeviceValue>, name: string): DeviceValue {
    const found = values.get(name) ?? this.#constants.get(name);
    if (found) return found;
    const constant = this.graph.initializers.get(name);
    if (!constant)
      throw new SurgeryError('graph-invalid', `${this.graph.name} reads ${name || 'an input that is not given'}, which nothing has made`);
    const value = new DeviceValue(this.tf, this.tf.keep(upload(this.tf, constant, name)));
    this.#constants.set(name, value);
    return value;
  }

  #typeOf(name: string): ElementType {
    return this.#types.get(name) ?? 'float32';
  }

  #carryOver(values: Map<string, DeviceValue>): void {
    for (const [output, input] of this.carry) {
      const value = new DeviceValue(this.tf, this.tf.clone(this.#value(values, output).plain()));
      this.#carried.get(input)?.dispose();
      this.#carried.set(input, value);
    }
  }

  profile(): Map<string, number> {
    return this.#times ?? new Map<string, number>();
  }

  dispose(): void {
    this.#queue.close(() => {
      for (const value of [...this.#constants.values(), ...this.#carried.values()]) value.dispose();
      this.#constants.clear();
      this.#carried.clear();
    });
  }
}

function stepsOf(graph: Graph): Step[] {
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((node, i) => [...node.outputs, ...node.inputs].forEach((name) => name && lastUse.set(name, i)));
  for (const { name } of graph.outputs) lastUse.delete(name);
  const dead = graph.nodes.map(() => [] as string[]);
  for (const [name, i] of lastUse) if (!graph.initializers.has(name)) dead[i]?.push(name);
  return graph.nodes.map((node, i) => ({ ...operatorOf(node, graph), dead: dead[i] ?? [] }));
}
