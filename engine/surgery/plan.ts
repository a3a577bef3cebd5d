import { readFile, rename, writeFile } from 'node:fs/promises';
import type { NoiseOptions } from '../contract/noise';
import type { PlanOperation, PruneOperation, SurgeryPlan } from '../contract/plan';
import { SurgeryError } from '../graph/errors';
import { type PrunableNetwork, findChannelGroups } from '../pruning/channelGroups';
import type { Selection } from '../pruning/selection';
import { sliceNetwork } from '../pruning/slice';
import { sitesOf } from '../robustness/noise/insertionPoints';
import type { Graph } from '../graph/graph';
import { decomposeLayer } from '../decomposition/decompose';
import type { FitOptions } from '../decomposition/fit';
import type { Runtime } from '../runtime/runtime';

export const emptyPlan = (path: string, hash: string): SurgeryPlan => ({ version: 1, base: { path, hash }, operations: [] });

/** A prune operation that says what it keeps of every group it cuts. */
export function pruneOperation(
  network: PrunableNetwork,
  selection: Selection,
  criterion: string,
  id: string,
  effect?: PruneOperation['effect'],
): PruneOperation {
  const groups = network.groups.flatMap((group) => {
    const keep = selection.get(group.id);
    return keep
      ? [{ group: group.id, layers: group.layers, weights: weightsOf(network, group.layers), channels: group.channels.length, keep }]
      : [];
  });
  return { kind: 'prune', id, enabled: true, criterion, groups, ...(effect ? { effect } : {}) };
}

function weightsOf({ graph }: PrunableNetwork, layers: readonly string[]): string[] {
  const byName = new Map(graph.nodes.map((node) => [node.name, node.inputs[1] ?? '']));
  return layers.map((layer) => byName.get(layer) ?? '');
}

export const withOperation = (plan: SurgeryPlan, operation: PlanOperation): SurgeryPlan => ({
  ...plan,
  operations: [...plan.operations, operation],
});

export interface AppliedPlan {
  readonly graph: Graph;
  /** The networks and selections along the way, for checks against the masked network. */
  readonly cuts: readonly { readonly network: PrunableNetwork; readonly selection: Selection; readonly pruned: Graph }[];
  /** How the network is to be trained; the graph keeps nothing of it. */
  readonly noise?: NoiseOptions;
}

/**
 * Applies the enabled operations in their order; each refers to the network that the one before it left. A decomposition is
 * fitted anew from its seed (once a process); `runtime` does its large products.
 */
export async function applyOperations(
  graph: Graph,
  operations: readonly PlanOperation[],
  runtime: () => Runtime,
  options: FitOptions = {},
): Promise<AppliedPlan> {
  const cuts: { network: PrunableNetwork; selection: Selection; pruned: Graph }[] = [];
  let noise: NoiseOptions | undefined;
  let current = graph;
  for (const operation of operations.filter((o) => o.enabled)) {
    if (operation.kind === 'insert-noise') {
      noise = operation.noise;
      if (noise.method !== 'adversarial') sitesOf(current, noise.layers);
      continue;
    }
    if (operation.kind === 'decompose') {
      const { layer, blockTerm } = operation;
      current = (await decomposeLayer(runtime(), current, layer, blockTerm, { ...options, seed: blockTerm.seed })).graph;
      continue;
    }
    const network = findChannelGroups(current);
    const selection = selectionOf(network, operation);
    const pruned = sliceNetwork(network, selection);
    cuts.push({ network, selection, pruned });
    current = pruned;
  }
  return { graph: current, cuts, ...(noise ? { noise } : {}) };
}

export function selectionOf(network: PrunableNetwork, operation: PruneOperation): Selection {
  return new Map(
    operation.groups
      .filter((g) => g.enabled !== false)
      .map(({ group, channels, keep }) => {
        const found = network.groups.find((g) => g.id === group);
        if (!found) throw new SurgeryError('option-invalid', `Operation ${operation.id}: the network has no prunable group ${group}`);
        if (found.channels.length !== channels)
          throw new SurgeryError(
            'option-invalid',
            `Operation ${operation.id}: group ${group} has ${found.channels.length} channels where the plan expects ${channels}`,
          );
        return [group, keep];
      }),
  );
}

/** Reads a plan; one sentence says what is wrong with a file that is none. */
export async function readPlan(file: string): Promise<SurgeryPlan> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new SurgeryError('file-not-found', `${file} cannot be read: ${String(error)}`);
  });
  return parsePlan(text, file);
}

export function parsePlan(text: string, file: string): SurgeryPlan {
  const fail = (reason: string): never => {
    throw new SurgeryError('file-malformed', `${file} is not a surgery plan: ${reason}`);
  };
  let plan: Partial<SurgeryPlan> | null;
  try {
    plan = JSON.parse(text) as Partial<SurgeryPlan> | null;
  } catch (error) {
    return fail(error instanceof Error ? error.message : 'it is not JSON');
  }
  if (plan?.version !== 1) fail(`version ${String(plan?.version)} is not 1`);
  if (typeof plan?.base?.path !== 'string' || typeof plan.base.hash !== 'string') fail('base needs path and hash');
  if (!Array.isArray(plan?.operations)) fail('operations is not a list');
  return plan as SurgeryPlan;
}

export async function writePlan(plan: SurgeryPlan, file: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, `${JSON.stringify(plan, undefined, 2)}\n`);
  await rename(temporary, file);
}
