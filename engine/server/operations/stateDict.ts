import { isMadeUp, moduleOf } from '../../decomposition/weightNames';
import { writeSafetensors } from '../../formats/safetensors/safetensors';
import type { Graph } from '../../graph/graph';
import { parametersOf } from '../../ops/parameters';
import type { KeptIndices } from '../../pruning/keptIndices';
import type { OperationContext } from './operation';

/**
 * Writes weights and running statistics under their names, which in a PyTorch export are those of the state dict. The metadata
 * entry `scalpel.kept` says as JSON which positions of the original are left, by tensor and axis.
 *
 * @returns tensors written, and names that no PyTorch module has
 */
export function writeStateDict(file: string, graph: Graph, kept: KeptIndices): { written: number; madeUp: string[] } {
  const statistics = graph.nodes.flatMap((n) => (n.op === 'BatchNormalization' ? n.inputs.slice(3, 5) : []));
  const names = new Set([...parametersOf(graph), ...statistics]);
  const given = namesByModule(graph);
  const tensors = new Map(
    [...graph.initializers].flatMap(([name, tensor]) => (names.has(name) ? [[given.get(name) ?? name, tensor]] : [])),
  );
  const indices = Object.fromEntries([...kept].filter(([name]) => names.has(name)).map(([name, axes]) => [name, Object.fromEntries(axes)]));
  writeSafetensors(file, tensors, { 'scalpel.kept': JSON.stringify(indices) });
  return { written: tensors.size, madeUp: [...tensors.keys()].filter(isMadeUp) };
}

/** Hidden weights and biases of decomposed recurrent layers ("lstm.R", "lstm.B"), which only ONNX's layout has: by their module. */
function namesByModule(graph: Graph): Map<string, string> {
  const recurrent = graph.nodes.filter((n) => /^(LSTM|GRU|RNN)$/.test(n.op) && !graph.initializers.has(n.inputs[1] ?? ''));
  return new Map(
    recurrent.flatMap((node) =>
      ['R', 'B'].flatMap((part, i) => {
        const name = node.inputs[2 + i] ?? '';
        return isMadeUp(name) ? [[name, `${moduleOf(node, name)}.${part}`] as const] : [];
      }),
    ),
  );
}

/** Writes the state dict and says which of its names PyTorch will not know. */
export function exportWeights(
  file: string,
  graph: Graph,
  kept: KeptIndices,
  context: OperationContext = {},
): { tensors: number; madeUp: string[] } {
  const { written, madeUp } = writeStateDict(file, graph, kept);
  context.log?.(`Wrote ${written} tensors to ${file}`);
  if (madeUp.length > 0)
    context.log?.(
      `${madeUp.length} of them have names that the exporter made up (${madeUp.slice(0, 3).join(', ')}), which no state dict has; export with do_constant_folding=False and training=TrainingMode.PRESERVE to keep the names`,
    );
  return { tensors: written, madeUp };
}
