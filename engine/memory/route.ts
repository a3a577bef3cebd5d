/**
 * Execution order of a non-linear network (SuperNeurons, algorithm 1): depth first from the sources, a join waits for all of its inputs.
 * The stack is explicit, so depth is limited by memory only.
 *
 * @param next successors of each layer, by index
 * @returns every layer after all that it depends on
 * @throws RangeError when a cycle keeps layers from ever being ready
 */
export function constructRoute(next: readonly (readonly number[])[]): number[] {
  const waiting = new Int32Array(next.length);
  for (const successors of next) for (const layer of successors) waiting[layer] = (waiting[layer] ?? 0) + 1;
  const stack = next.map((_, i) => i).filter((i) => waiting[i] === 0);
  stack.reverse();
  const route: number[] = [];
  for (let layer = stack.pop(); layer !== undefined; layer = stack.pop()) {
    route.push(layer);
    const successors = next[layer] ?? [];
    for (let i = successors.length - 1; i >= 0; i--) {
      const successor = successors[i] as number;
      waiting[successor] = (waiting[successor] ?? 0) - 1;
      if (waiting[successor] === 0) stack.push(successor);
    }
  }
  if (route.length < next.length) throw new RangeError(`${next.length - route.length} layers are on a cycle and never become ready`);
  return route;
}
