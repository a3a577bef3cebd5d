import { SurgeryError } from '../../graph/errors';
import { type Graph, producersOf } from '../../graph/graph';
import type { ElementType, Tensor } from '../../graph/tensor';
import type { LoweredGraph } from '../../memory/lowerGraph';
import type { Operation } from '../../memory/program';
import type { TfjsModule, TfjsResult, TfjsTensor } from '../../ops/opRecord';
import { DeviceValue } from './deviceValue';
import { type Operands, type Operator, compute } from './operators';
import { upload } from './tensors';

/** The storages of a lowered graph as tensors on the device, one for each; views and conversions are made by the operator that reads them. */
export class StorageValues implements Operands {
  readonly #results = new Map<number, TfjsResult>();
  readonly #producers: ReturnType<typeof producersOf>;

  constructor(
    private readonly tf: TfjsModule,
    private readonly graph: Graph,
    private readonly lowered: LoweredGraph,
  ) {
    this.#producers = producersOf(graph);
  }

  has(storage: number): boolean {
    return this.#results.has(storage);
  }

  tensor(storage: number): TfjsTensor {
    const result = this.result(storage);
    return 'channelsLast' in result ? result.channelsLast : result;
  }

  /** @throws SurgeryError 'internal' when the storage is empty */
  result(storage: number): TfjsResult {
    const result = this.#results.get(storage);
    if (!result) throw new SurgeryError('internal', `${this.lowered.program.storages[storage]?.name} is not on the device`);
    return result;
  }

  /** Fills a storage; what it held is disposed. */
  set(storage: number, result: TfjsResult): void {
    this.dispose(storage);
    this.#results.set(storage, result);
  }

  /** Takes a storage's tensor out of it. */
  take(storage: number): TfjsResult {
    const result = this.result(storage);
    this.#results.delete(storage);
    return result;
  }

  dispose(storage: number): void {
    if (!this.#results.has(storage)) return;
    this.tensor(storage).dispose();
    this.#results.delete(storage);
  }

  disposeAll(keep: (storage: number) => boolean = () => false): void {
    for (const storage of [...this.#results.keys()]) if (!keep(storage)) this.dispose(storage);
  }

  /** Runs an operator on the storages it reads and fills those it writes, or `only` one of them. */
  run(operator: Operator, { writes }: Operation, only?: number): void {
    const results = compute(this.tf, operator, this);
    results.forEach((result, i) => {
      const storage = writes[i];
      if (storage === undefined || (only !== undefined && storage !== only)) return new DeviceValue(this.tf, result).dispose();
      this.set(storage, this.lowered.program.storages[storage]?.pinned ? this.#plain(result) : result);
    });
  }

  /** Weights and state lie in ONNX's order, as they were fed. */
  #plain(result: TfjsResult): TfjsResult {
    if (!('channelsLast' in result)) return result;
    const value = new DeviceValue(this.tf, result, false);
    if (value.forms.plain) return value.result;
    const plain = value.plain();
    value.dispose();
    return plain;
  }

  /** To be called within a tidy, to which whatever it makes belongs. */
  value(name: string): DeviceValue {
    const place = this.lowered.places.get(name);
    if (!place) return new DeviceValue(this.tf, upload(this.tf, this.#constant(name), name), false);
    const whole = new DeviceValue(this.tf, this.result(place.storage), false);
    return this.#isWhole(name) ? whole : new DeviceValue(this.tf, this.tf.reshape(whole.plain(), [...place.dims]), false);
  }

  type(name: string): ElementType {
    return this.lowered.places.get(name)?.type ?? this.graph.initializers.get(name)?.type ?? 'float32';
  }

  known(name: string): Tensor | undefined {
    return this.graph.initializers.get(name);
  }

  #constant(name: string): Tensor {
    const constant = this.graph.initializers.get(name);
    if (!constant) throw new SurgeryError('internal', `Value ${name} has no place on the device`);
    return constant;
  }

  /** Whether a value is a storage itself and no other shape of it. */
  #isWhole(name: string): boolean {
    let root = name;
    for (let node = this.#producers.get(root); node?.op === 'Identity'; node = this.#producers.get(root)) root = node.inputs[0] ?? '';
    const producer = this.#producers.get(root);
    return !producer || !RESHAPES.has(producer.op) || this.graph.initializers.has(producer.inputs[0] ?? '');
  }
}

const RESHAPES: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);
