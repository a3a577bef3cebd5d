import type { MemoryKind, MemoryPoint } from '../engine/contract/memory';
import type { MemorySteps } from '../engine/contract/memoryPage';

/** A timeline as columns. */
export function memorySteps(timeline: readonly MemoryPoint[]): MemorySteps {
  const places = new Map<string, number>();
  const layer = timeline.map((point) => {
    const place = places.get(point.layer) ?? places.size;
    places.set(point.layer, place);
    return place;
  });
  const kinds = Object.keys(timeline[0]?.bytes ?? {}) as MemoryKind[];
  return {
    layers: [...places.keys()],
    layer,
    phase: timeline.map((point) => point.phase),
    bytes: Object.fromEntries(kinds.map((kind) => [kind, timeline.map((point) => point.bytes[kind])])),
    offloaded: timeline.map((point) => point.offloaded),
  };
}
