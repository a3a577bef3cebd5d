import type { TfjsModule, TfjsResult, TfjsTensor } from '../../ops/opRecord';
import { lastPermutation, plainPermutation } from '../../ops/tfjs/layout';

/** One value of a program on the device, in ONNX's order of axes, with the channels last, or both. */
export class DeviceValue {
  #plain: TfjsTensor | undefined;
  #channelsLast: TfjsTensor | undefined;
  /** Whether it was made with the channels last. */
  readonly #madeLast: boolean;

  /** @param keeps whether a conversion is made once and kept with the value; else it belongs to the operator that asks for it */
  constructor(
    private readonly tf: TfjsModule,
    result: TfjsResult,
    private readonly keeps = true,
  ) {
    const last = 'channelsLast' in result ? result.channelsLast : undefined;
    this.#madeLast = last !== undefined && last.rank >= 3;
    if (this.#madeLast) this.#channelsLast = last;
    else this.#plain = last ?? (result as TfjsTensor);
  }

  /** Shape in ONNX's order. */
  get shape(): readonly number[] {
    if (!this.#madeLast) return this.#plain?.shape ?? [];
    const shape = this.#channelsLast?.shape ?? [];
    return plainPermutation(shape.length).map((axis) => shape[axis] ?? 1);
  }

  /** As it was made, whatever conversions were kept since: operators choose their order by it, and must choose alike in every schedule. */
  get forms(): { plain: boolean; channelsLast: boolean } {
    return { plain: !this.#madeLast, channelsLast: this.#madeLast || this.shape.length < 3 };
  }

  /** As it was made. */
  get result(): TfjsResult {
    return this.#madeLast ? { channelsLast: this.#channelsLast as TfjsTensor } : (this.#plain as TfjsTensor);
  }

  plain(): TfjsTensor {
    if (this.#plain) return this.#plain;
    const tensor = this.#converted(this.#channelsLast as TfjsTensor, plainPermutation);
    if (this.keeps) this.#plain = tensor;
    return tensor;
  }

  channelsLast(): TfjsTensor {
    if (this.shape.length < 3) return this.plain();
    if (this.#channelsLast) return this.#channelsLast;
    const tensor = this.#converted(this.#plain as TfjsTensor, lastPermutation);
    if (this.keeps) this.#channelsLast = tensor;
    return tensor;
  }

  #converted(from: TfjsTensor, permutation: (rank: number) => number[]): TfjsTensor {
    const tensor = this.tf.transpose(from, permutation(from.rank));
    return this.keeps ? this.tf.keep(tensor) : tensor;
  }

  dispose(): void {
    this.#plain?.dispose();
    this.#channelsLast?.dispose();
    this.#plain = this.#channelsLast = undefined;
  }
}
