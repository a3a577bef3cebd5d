import type { GroupSummary, LayerSummary, ModelSummary } from '../../contract/models';
import type { SurgeryPlan } from '../../contract/plan';
import { type Shape, evaluateDim } from '../../graph/dims';
import { type Graph, type NamedValue, feedsOf } from '../../graph/graph';
import { costOf } from '../../ops/cost';
import { type InferredTypes, inferShapes } from '../../ops/inferShapes';
import { type ChannelGroup, findChannelGroups } from '../../pruning/channelGroups';
import { featuresOf } from '../../ops/features';
import { SelectionCost } from '../../pruning/selectionCost';
import { insertionPoints } from '../../robustness/noise/insertionPoints';
import { type LoadedModel, loadModel } from './loadModel';

/** Everything a person sees of a model before anything is cut. */
export async function inspectModel(file: string, plan?: SurgeryPlan): Promise<ModelSummary> {
  return summarise(await loadModel(file, plan));
}

export function summarise(model: LoadedModel): ModelSummary {
  const { graph } = model;
  const symbolic = inferShapes(graph);
  const network = findChannelGroups(graph);
  const cost = new SelectionCost(network);
  const layers = layersOf(graph, symbolic, network.groups);
  const sum = (key: 'parameters' | 'macs' | 'activationBytes'): number => layers.reduce((n, layer) => n + layer[key], 0);
  return {
    path: model.path,
    hash: model.hash,
    bytes: model.bytes,
    format: model.format,
    opset: graph.opsets.get('') ?? 1,
    inputs: feedsOf(graph).map(describeValue),
    outputs: graph.outputs.map((o) => describeValue({ ...o, ...symbolic.types.get(o.name) })),
    layers,
    totals: { parameters: sum('parameters'), macs: sum('macs'), activationBytes: sum('activationBytes') },
    groups: network.groups.map((group) => describeGroup(group, cost)),
    locked: network.locked,
    unsupported: symbolic.problems,
    noiseLayers: insertionPoints(graph).map((site) => site.layer),
  };
}

const describeValue = ({ name, type, shape }: NamedValue): ModelSummary['inputs'][number] => ({ name, type, shape: shape ?? [] });

export function describeGroup(group: ChannelGroup, cost: SelectionCost): GroupSummary {
  const each = cost.perChannel(group);
  return {
    id: group.id,
    channels: group.channels.length,
    layers: group.layers,
    macsPerChannel: each.macs,
    parametersPerChannel: each.parameters,
  };
}

function layersOf(graph: Graph, symbolic: InferredTypes, groups: readonly ChannelGroup[]): LayerSummary[] {
  const single = new Map<string, Shape>(feedsOf(graph).map((f) => [f.name, (f.shape ?? []).map((d) => evaluateDim(d, new Map(), 1) ?? 1)]));
  const { types } = inferShapes(graph, single);
  const groupOf = new Map(groups.flatMap((group) => group.layers.map((layer) => [layer, group.id] as const)));
  const shapeOf = (value: string): readonly number[] | undefined => {
    const shape = types.get(value)?.shape;
    return shape?.every((d) => typeof d === 'number') ? shape : undefined;
  };
  return costOf(graph, shapeOf).nodes.map(({ node, parameters, macs, activationBytes }): LayerSummary => {
    const group = groupOf.get(node.name);
    const weight = node.inputs.slice(1).find((name) => graph.initializers.has(name));
    const features = weight === undefined ? undefined : featuresOf(node, shapeOf(weight) ?? []);
    return {
      name: node.name,
      op: node.op,
      outputShape: symbolic.types.get(node.outputs[0] ?? '')?.shape ?? [],
      parameters,
      macs,
      activationBytes,
      ...(group === undefined ? {} : { group }),
      ...(weight === undefined ? {} : { weight }),
      ...(features ? { features } : {}),
    };
  });
}
