import type { Site } from '../../autodiff/perturbation';
import { SurgeryError } from '../../graph/errors';
import { type Graph, type Node, consumersOf, feedsOf, producersOf } from '../../graph/graph';

const ACTIVATIONS = new Set([
  'Relu',
  'LeakyRelu',
  'PRelu',
  'Clip',
  'Elu',
  'Celu',
  'Selu',
  'Gelu',
  'Mish',
  'Sigmoid',
  'HardSigmoid',
  'HardSwish',
  'Softplus',
  'Softsign',
  'Tanh',
  'ThresholdedRelu',
]);
const NORMALISATIONS = new Set(['BatchNormalization', 'InstanceNormalization', 'LayerNormalization', 'GroupNormalization']);
const LINEAR = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** Steps between the products of a decomposed layer and its output. */
const MOVEMENTS = new Set(['Reshape', 'Transpose', 'Flatten', 'Squeeze', 'Unsqueeze']);

/**
 * Where noise goes by itself: after a normalisation that an activation follows, as in the official code of the Adversarial
 * Noise Layer (`conv -> bn -> adv -> relu`), and after a convolution or linear layer whose activation follows at once. A bias or
 * a gate in between belongs to the layer, and so do the movements of a layer in block-term form.
 */
export function insertionPoints(graph: Graph): Site[] {
  const consumers = consumersOf(graph);
  const producers = producersOf(graph);
  const feedsActivation = (node: Node): boolean =>
    (consumers.get(node.outputs[0] ?? '') ?? []).some((reader) => reader.domain === '' && ACTIVATIONS.has(reader.op));
  const isLayer = (node: Node | undefined): boolean => {
    if (node && MOVEMENTS.has(node.op)) return isLayer(producers.get(node.inputs[0] ?? ''));
    if (node?.op !== 'Add' && node?.op !== 'Mul') return node !== undefined && (NORMALISATIONS.has(node.op) || LINEAR.has(node.op));
    const [computed, ...others] = node.inputs.filter((name) => !graph.initializers.has(name));
    return node.inputs.length === 2 && others.length === 0 && computed !== undefined && isLayer(producers.get(computed));
  };
  return graph.nodes.filter((node) => isLayer(node) && feedsActivation(node)).map(siteOf);
}

const siteOf = (node: Node): Site => ({ layer: node.name, value: node.outputs[0] ?? '' });

/** The outputs of the layers named, or where noise goes by itself when none is. */
export function sitesOf(graph: Graph, layers?: readonly string[]): Site[] {
  if (!layers) {
    const found = insertionPoints(graph);
    if (found.length > 0) return found;
    throw new SurgeryError(
      'option-invalid',
      'No layer of this network is followed by an activation, so noise has no place by itself; name layers with --noise-layers',
    );
  }
  return layers.map((layer) => {
    const node = graph.nodes.find((n) => n.name === layer);
    if (!node) throw new SurgeryError('option-invalid', `--noise-layers: the network has no layer ${layer}; inspect lists them`);
    if (graph.outputs.some((output) => output.name === node.outputs[0]))
      throw new SurgeryError('option-invalid', `--noise-layers: ${layer} makes the network's output, which cannot take noise`);
    return siteOf(node);
  });
}

/** The network's input, for perturbations of the images themselves. */
export function inputSite(graph: Graph): Site {
  const name = feedsOf(graph)[0]?.name ?? '';
  return { layer: name, value: name };
}
