import type { LayerSummary, ModelSummary } from '../../engine/contract/models';
import { operatorsOf } from './layerTypes';
import type { SourceLayer, SourceNetwork } from './sourceModel';

/** Which layer of a model file each layer of the source is. */
export interface Match {
  readonly network: SourceNetwork;
  /** By index of the source's layers. */
  readonly layers: ReadonlyMap<number, LayerSummary>;
  readonly by: 'name' | 'order';
}

/** "module.layer1.0.conv1.weight" and "conv2d/kernel:0" give the name of the layer. */
export const moduleOf = ({ weight, name }: LayerSummary): string =>
  weight === undefined ? name : weight.replace(/^module\./, '').replace(/[./](weight|kernel|gamma|weight_ih_l0|kernel:0)(_.*)?$/, '');

const withWeights = (summary: ModelSummary): LayerSummary[] => summary.layers.filter((l) => l.weight !== undefined && l.features);

/** The network of the source that agrees with most of the model; undefined when none agrees. */
export function matchModel(networks: readonly SourceNetwork[], summary: ModelSummary): Match | undefined {
  const matches = networks.flatMap((network) => [byName(network, summary), byOrder(network, summary)]);
  return matches
    .filter((m): m is Match => m !== undefined && m.layers.size > 0)
    .sort((a, b) => b.layers.size - a.layers.size || doubt(a) - doubt(b))[0];
}

/** Layers that the model has not, counts that differ and counts that the source alone does not tell. */
function doubt({ network, layers, by }: Match): number {
  const open = [...layers].flatMap(([i, { features }]) =>
    (network.layers[i]?.slots ?? []).filter(({ role, value }) => value !== features?.[role]),
  );
  return network.layers.length - layers.size + open.length + (by === 'order' ? 0.5 : 0);
}

function byName(network: SourceNetwork, summary: ModelSummary): Match | undefined {
  const named = new Map(withWeights(summary).map((l) => [moduleOf(l), l]));
  const layers = new Map<number, LayerSummary>();
  network.layers.forEach((layer, i) => {
    const found = layer.path ? named.get(layer.path) : undefined;
    if (found && isKind(layer, found)) layers.set(i, found);
  });
  return { network, layers, by: 'name' };
}

/** The same kinds of layers with the same counts in the same order; nothing when one of them differs. */
function byOrder(network: SourceNetwork, summary: ModelSummary): Match | undefined {
  const isNorm = (op: string): boolean => /Normalization/.test(op);
  const model = withWeights(summary);
  for (const skipsNorms of [false, true]) {
    const theirs = model.filter((l) => !skipsNorms || !isNorm(l.op));
    const ours = network.layers
      .map((layer, i) => ({ layer, i }))
      .filter(({ layer }) => !skipsNorms || !isNorm(operatorsOf(layer.type)[0] ?? ''));
    if (ours.length !== theirs.length || ours.length === 0) continue;
    if (ours.every(({ layer }, i) => theirs[i] && agrees(layer, theirs[i])))
      return { network, by: 'order', layers: new Map(ours.flatMap(({ i }, at) => (theirs[at] ? [[i, theirs[at]] as const] : []))) };
  }
  return undefined;
}

const isKind = ({ type }: SourceLayer, { op }: LayerSummary): boolean => operatorsOf(type).includes(op);

const agrees = (layer: SourceLayer, summary: LayerSummary): boolean =>
  isKind(layer, summary) && layer.slots.every(({ role, value }) => value === undefined || value === summary.features?.[role]);
