import type { TfjsModule, TfjsResult, TfjsTensor } from '../../ops/opRecord';
import { lastPermutation, plainPermutation } from '../../ops/tfjs/layout';

/** One value of a program on the device, in ONNX's order of axes, with the channels last, or both; each is made at most once. */
export class DeviceValue {
  #plain: TfjsTensor | undefined;
  #channelsLast: TfjsTensor | undefined;

  constructor(
    private readonly tf: TfjsModule,
    result: TfjsResult,
  ) {
    const last = 'channelsLast' in result ? result.channelsLast : undefined;
    if (!last || last.rank < 3) this.#plain = last ?? (result as TfjsTensor);
    else this.#channelsLast = last;
  }

  /** Shape in ONNX's order. */
  get shape(): readonly number[] {
    if (this.#plain) return this.#plain.shape;
    const shape = this.#channelsLast?.shape ?? [];
    return plainPermutation(shape.length).map((axis) => shape[axis] ?? 1);
  }

  get forms(): { plain: boolean; channelsLast: boolean } {
    const flat = this.shape.length < 3;
    return { plain: this.#plain !== undefined, channelsLast: this.#channelsLast !== undefined || flat };
  }

  plain(): TfjsTensor {
    this.#plain ??= this.#converted(this.#channelsLast, plainPermutation);
    return this.#plain;
  }

  channelsLast(): TfjsTensor {
    if (this.shape.length < 3) return this.plain();
    this.#channelsLast ??= this.#converted(this.#plain, lastPermutation);
    return this.#channelsLast;
  }

  /** Kept beyond the operator that asked for it, whose other temporaries are disposed. */
  #converted(from: TfjsTensor | undefined, permutation: (rank: number) => number[]): TfjsTensor {
    const source = from as TfjsTensor;
    return this.tf.keep(this.tf.transpose(source, permutation(source.rank)));
  }

  dispose(): void {
    this.#plain?.dispose();
    this.#channelsLast?.dispose();
    this.#plain = this.#channelsLast = undefined;
  }
}
