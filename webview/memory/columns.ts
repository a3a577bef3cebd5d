/**
 * For each of `width` columns over the steps [from, to) the step with the largest value among those that the column touches, so that no peak
 * is lost when there are more steps than columns. A step that is wider than a column has several.
 */
export function columnsOf(values: ArrayLike<number>, from: number, to: number, width: number): Int32Array {
  const columns = new Int32Array(width);
  const perColumn = (to - from) / width;
  for (let column = 0; column < width; column++) {
    const first = Math.min(values.length - 1, Math.floor(from + column * perColumn));
    const end = Math.min(values.length, Math.max(first + 1, Math.ceil(from + (column + 1) * perColumn - 1e-9)));
    let largest = first;
    for (let step = first + 1; step < end; step++) if ((values[step] ?? 0) > (values[largest] ?? 0)) largest = step;
    columns[column] = largest;
  }
  return columns;
}
