import { SurgeryError } from '../../graph/errors';
import { type ElementType, type Tensor } from '../../graph/tensor';
import type { Environment } from './environment';
import type { Handle } from './library';
import type { Session } from './session';
import { ValueSlot, newValue, valueAt } from './values';

/** What WebGPU rounds buffers to. */
const ALIGNMENT = 16;

interface DeviceBuffer {
  readonly value: Handle<'value'>;
  readonly address: bigint;
  readonly bytes: number;
}

/** Memory of a GPU in buffers by number. Every call wants the GPU's queue to be held. */
export class DeviceBuffers {
  readonly #memory: Handle<'memoryInfo'>;
  readonly #allocator: Handle<'allocator'>;
  readonly #buffers = new Map<number, DeviceBuffer>();
  #held = 0;
  #peak = 0;

  /** @param session one that computes on the GPU; must outlive the buffers */
  constructor(
    private readonly environment: Environment,
    session: Session,
  ) {
    this.#memory = environment.library.make('CreateMemoryInfo', 'WebGPU_Buffer', 0, 0, 0);
    this.#allocator = session.deviceAllocator(this.#memory);
  }

  /** Bytes of the buffers that there are, and the most that there were at once. */
  get heldBytes(): number {
    return this.#held;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  has(id: number): boolean {
    return this.#buffers.has(id);
  }

  allocate(id: number, bytes: number): void {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const value = newValue(this.environment, this.#allocator, { type: 'uint8', dims: [size] });
    const pointer = new BigUint64Array(1);
    this.environment.library.api.GetTensorMutableData(value, pointer);
    this.#buffers.set(id, { value, address: pointer[0] ?? 0n, bytes: size });
    this.#held += size;
    this.#peak = Math.max(this.#peak, this.#held);
  }

  free(id: number): void {
    const buffer = this.#buffers.get(id);
    if (!buffer) return;
    this.environment.library.api.ReleaseValue(buffer.value);
    this.#buffers.delete(id);
    this.#held -= buffer.bytes;
  }

  /** Gives a buffer another number, whose own buffer is freed. */
  rename(from: number, to: number): void {
    const buffer = this.#of(from);
    this.free(to);
    this.#buffers.delete(from);
    this.#buffers.set(to, buffer);
  }

  /** A tensor over a buffer, for the caller to release. */
  view(id: number, type: ElementType, dims: readonly number[]): Handle<'value'> {
    const { address, bytes } = this.#of(id);
    return valueAt(this.environment, { type, dims, address, bytes }, this.#memory);
  }

  upload(id: number, tensor: Tensor): Promise<void> {
    return this.#copy(id, tensor, true);
  }

  download(id: number, tensor: Tensor): Promise<void> {
    return this.#copy(id, tensor, false);
  }

  async #copy(id: number, tensor: Tensor, up: boolean): Promise<void> {
    const { library, handle } = this.environment;
    const far = this.view(id, tensor.type, tensor.dims);
    const slot = new ValueSlot(this.environment, 'A tensor to copy');
    try {
      const near = slot.valueOf(tensor);
      const [from, to] = up ? [near, far] : [far, near];
      await library.callAsync('CopyTensors', handle, BigUint64Array.of(from), BigUint64Array.of(to), null, 1);
    } finally {
      slot.release();
      library.api.ReleaseValue(far);
    }
  }

  release(): void {
    for (const id of [...this.#buffers.keys()]) this.free(id);
    this.environment.library.api.ReleaseAllocator(this.#allocator);
    this.environment.library.api.ReleaseMemoryInfo(this.#memory);
  }

  #of(id: number): DeviceBuffer {
    const buffer = this.#buffers.get(id);
    if (!buffer) throw new SurgeryError('internal', `Buffer ${id} is not on the GPU`);
    return buffer;
  }
}
