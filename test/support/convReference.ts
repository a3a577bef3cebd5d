/** Gradients of a plane convolution (NCHW, symmetric stride and dilation) in double precision by their definition. */
export interface ConvCase {
  readonly n: number;
  readonly c: number;
  readonly k: number;
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: number;
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  readonly groups?: number;
  readonly dilation?: number;
}

export const outputSize = ({ size, kernel, stride, pads, dilation = 1 }: ConvCase): readonly [number, number] => [
  Math.floor((size[0] + pads[0] + pads[2] - (kernel[0] - 1) * dilation - 1) / stride) + 1,
  Math.floor((size[1] + pads[1] + pads[3] - (kernel[1] - 1) * dilation - 1) / stride) + 1,
];

/** Calls `visit` with the flat indices of every product x * w that adds to an output. */
export function eachProduct(conv: ConvCase, visit: (x: number, w: number, y: number) => void): void {
  const { n, c, k, size, kernel, stride, pads, groups = 1, dilation = 1 } = conv;
  const [height, width] = outputSize(conv);
  const perGroup = c / groups;
  for (let sample = 0; sample < n; sample++)
    for (let f = 0; f < k; f++)
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++)
          for (let d = 0; d < perGroup; d++)
            for (let i = 0; i < kernel[0]; i++)
              for (let j = 0; j < kernel[1]; j++) {
                const [a, b] = [row * stride + i * dilation - pads[0], column * stride + j * dilation - pads[1]];
                if (a < 0 || b < 0 || a >= size[0] || b >= size[1]) continue;
                const channel = Math.floor((f * groups) / k) * perGroup + d;
                visit(
                  ((sample * c + channel) * size[0] + a) * size[1] + b,
                  ((f * perGroup + d) * kernel[0] + i) * kernel[1] + j,
                  ((sample * k + f) * height + row) * width + column,
                );
              }
}
