import { SurgeryError } from '../../graph/errors';

/** A layer of a Keras model, and the layers whose outputs it reads, in order. */
export interface KerasLayer {
  readonly name: string;
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inputs: readonly string[];
}

export interface KerasTopology {
  readonly name: string;
  /** In an order in which every layer comes after those it reads. */
  readonly layers: readonly KerasLayer[];
  readonly outputs: readonly string[];
}

interface RawLayer {
  readonly class_name: string;
  readonly name?: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly name?: string };
  readonly inbound_nodes?: readonly unknown[];
}

interface RawModel {
  readonly class_name: string;
  readonly config:
    { readonly name?: string; readonly layers?: readonly RawLayer[]; readonly output_layers?: unknown } | readonly RawLayer[];
}

/** Reads the model_config of Keras 2 and 3 and of tfjs layers models: Sequential and Functional. */
export function parseTopology(model: unknown, file: string): KerasTopology {
  const raw = model as Partial<RawModel> | null;
  const config = raw?.config;
  const layers = Array.isArray(config) ? (config as readonly RawLayer[]) : (config as { layers?: readonly RawLayer[] } | undefined)?.layers;
  if (!raw?.class_name || !layers) throw new SurgeryError('file-malformed', `${file} has no Keras model configuration with layers`);
  const name = (!Array.isArray(config) && (config as { name?: string }).name) || 'keras';
  return raw.class_name === 'Sequential' ? sequential(name, layers) : functional(name, layers, config as { output_layers?: unknown }, file);
}

const nameOf = (layer: RawLayer): string => layer.config.name ?? layer.name ?? layer.class_name;

/** Keras leaves the input layer out when the first layer states its input's shape. */
function sequential(name: string, raw: readonly RawLayer[]): KerasTopology {
  const layers: KerasLayer[] = [];
  const [first] = raw;
  if (first && first.class_name !== 'InputLayer') {
    const { batch_input_shape: shape } = first.config;
    layers.push({ name: `${nameOf(first)}_input`, type: 'InputLayer', config: { batch_input_shape: shape }, inputs: [] });
  }
  for (const layer of raw) {
    const before = layers.at(-1)?.name;
    layers.push({ name: nameOf(layer), type: layer.class_name, config: layer.config, inputs: before === undefined ? [] : [before] });
  }
  return { name, layers, outputs: layers.slice(-1).map((l) => l.name) };
}

function functional(name: string, raw: readonly RawLayer[], config: { output_layers?: unknown }, file: string): KerasTopology {
  const layers = raw.map((layer): KerasLayer => {
    const calls = layer.inbound_nodes ?? [];
    if (calls.length > 1)
      throw new SurgeryError(
        'file-unsupported',
        `${file}: layer ${nameOf(layer)} is used ${calls.length} times; shared layers cannot be read`,
      );
    return { name: nameOf(layer), type: layer.class_name, config: layer.config, inputs: layersIn(calls[0]) };
  });
  return { name, layers: inOrder(layers, file), outputs: layersIn(config.output_layers) };
}

/** Names in references of any nesting: ["name", 0, 0, {}] of Keras 2, {config: {keras_history: ["name", 0, 0]}} of Keras 3. */
function layersIn(value: unknown): string[] {
  if (Array.isArray(value)) {
    const [head, index] = value as unknown[];
    return typeof head === 'string' && typeof index === 'number' ? [head] : value.flatMap(layersIn);
  }
  if (value === null || typeof value !== 'object') return [];
  const { keras_history: history, ...others } = value as Record<string, unknown>;
  return history === undefined ? Object.values(others).flatMap(layersIn) : layersIn(history);
}

function inOrder(layers: readonly KerasLayer[], file: string): KerasLayer[] {
  const done = new Set<string>();
  const result: KerasLayer[] = [];
  let waiting = [...layers];
  while (waiting.length > 0) {
    const ready = waiting.filter((layer) => layer.inputs.every((input) => done.has(input)));
    if (ready.length === 0)
      throw new SurgeryError('file-malformed', `${file}: layer ${waiting[0]?.name ?? ''} reads a layer that the model does not have`);
    for (const layer of ready) {
      done.add(layer.name);
      result.push(layer);
    }
    waiting = waiting.filter((layer) => !done.has(layer.name));
  }
  return result;
}
