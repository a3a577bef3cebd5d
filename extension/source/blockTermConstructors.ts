import type { ShapeCost } from '../../engine/contract/decomposition';
import type { SourceLayer } from './sourceModel';

/** A layer's form as the plan has it: modes with all gates in the first output mode. */
export interface BlockTermForm {
  /** Name in the model file before the plan. */
  readonly layer: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly gates: number;
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly ranks: readonly number[];
  readonly blocks: number;
  /** Which two of x, core and factors are multiplied next, by their places (numpy.einsum_path). Empty for a convolution. */
  readonly path: readonly (readonly [number, number])[];
}

/** Steps by name as places in the list of what is left, where a product goes to the end (numpy.einsum_path). */
export function pathOf({ path, inputModes }: Pick<ShapeCost, 'path' | 'inputModes'>): [number, number][] {
  let left = ['x', 'core', ...inputModes.map((_, k) => `factor${k + 1}`)];
  return path.map(({ contract: [a, b] }) => {
    const places: [number, number] = [left.indexOf(a), left.indexOf(b)];
    left = [...left.filter((name) => name !== a && name !== b), `(${a} ${b})`];
    return places;
  });
}

/** What stands in place of a layer's constructor, and the class of the template that it needs. */
export interface Replacement {
  readonly className: string;
  readonly text: string;
}

type Argument = readonly [name: string, text: string];

/** @throws Error that names the argument which no block-term layer has */
export function constructorOf(framework: 'pytorch' | 'keras' | 'tfjs', layer: SourceLayer, form: BlockTermForm): Replacement {
  if (framework === 'pytorch') return pytorch(layer, form);
  return framework === 'keras' ? keras(layer, form) : tfjs(layer, form);
}

/** Positional arguments get the names that the constructor gives them. */
function named({ arguments: given }: SourceLayer, positions: readonly string[]): Map<string, string> {
  let position = 0;
  return new Map(given.map(({ name, literal, span }) => [name ?? positions[position++] ?? '', literal ?? span.text]));
}

const tuple = (sizes: readonly number[]): string => `(${sizes.join(', ')}${sizes.length === 1 ? ',' : ''})`;
const pathTuple = (path: BlockTermForm['path']): string => `(${path.map(tuple).join(', ')}${path.length === 1 ? ',' : ''})`;

const pythonForm = ({ inputModes, outputModes, ranks, blocks, path }: BlockTermForm): Argument[] => [
  ['input_modes', tuple(inputModes)],
  ['output_modes', tuple(outputModes)],
  ['ranks', tuple(ranks)],
  ['blocks', String(blocks)],
  ['path', pathTuple(path)],
];

const pythonCall = (callee: string, positional: readonly (string | number)[], keywords: readonly Argument[]): string =>
  `${callee}(${[...positional, ...keywords.map(([name, text]) => `${name}=${text}`)].join(', ')})`;

/** Keeps the arguments in `kept`; one in `fixed` must have the value that the new class always has. */
function carryOver(
  layer: SourceLayer,
  given: ReadonlyMap<string, string>,
  kept: readonly string[],
  fixed: Readonly<Record<string, string>>,
): Argument[] {
  // prettier-ignore
  for (const [name, text] of given)
    if (name in fixed && text.replace(/^["'`]|["'`]$/g, '') !== fixed[name])
      throw new Error(`${layer.path || layer.type} in line ${layer.call.line + 1}: ${name} ${text} has no counterpart in a block-term layer`);
  return kept.flatMap((name) => (given.has(name) ? [[name, given.get(name) ?? ''] as const] : []));
}

const RECURRENT = ['input_size', 'hidden_size', 'num_layers', 'bias', 'batch_first', 'dropout', 'bidirectional', 'proj_size'];

function pytorch(layer: SourceLayer, form: BlockTermForm): Replacement {
  const { type } = layer;
  const { inputs, outputs, gates } = form;
  if (type === 'Linear') {
    const given = named(layer, ['in_features', 'out_features', 'bias', 'device', 'dtype']);
    return { className: 'BlockTermLinear', text: pythonCall('BlockTermLinear', [inputs, outputs], [...pythonForm(form), ...carryOver(layer, given, ['bias'], {})]) }; // prettier-ignore
  }
  if (type === 'Conv2d') {
    const given = named(layer, ['in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups', 'bias', 'padding_mode']); // prettier-ignore
    const own: Argument[] = [['ranks', tuple(form.ranks.slice(0, 2))], ['blocks', String(form.blocks)]]; // prettier-ignore
    const rest = carryOver(layer, given, ['stride', 'padding', 'dilation', 'bias'], { groups: '1', padding_mode: 'zeros' });
    return { className: 'BlockTermConv2d', text: pythonCall('BlockTermConv2d', [inputs, outputs, given.get('kernel_size') ?? '1'], [...own, ...rest]) }; // prettier-ignore
  }
  if (!['LSTM', 'GRU', 'RNN'].includes(type)) throw unknown(layer);
  const positions = type === 'RNN' ? [...RECURRENT.slice(0, 3), 'nonlinearity', ...RECURRENT.slice(3)] : RECURRENT;
  const given = named(layer, positions);
  const rest = carryOver(layer, given, ['bias', 'batch_first', 'bidirectional'], { num_layers: '1', proj_size: '0', nonlinearity: 'tanh' });
  const className = `BlockTerm${type}`;
  return { className, text: pythonCall(className, [inputs, outputs / gates], [...pythonForm(form), ...rest]) };
}

const KERAS_COMMON = ['name', 'input_shape', 'batch_input_shape', 'dtype', 'trainable'];

function keras(layer: SourceLayer, form: BlockTermForm): Replacement {
  const { type } = layer;
  const units = form.outputs / form.gates;
  const given = named(layer, ['units', 'activation', ...(type === 'Dense' ? ['use_bias'] : ['recurrent_activation', 'use_bias'])]);
  if (type === 'Dense') {
    const rest = carryOver(layer, given, ['activation', 'use_bias', ...KERAS_COMMON], {});
    return { className: 'BlockTermDense', text: pythonCall('BlockTermDense', [units], [...pythonForm(form), ...rest]) };
  }
  if (type !== 'LSTM' && type !== 'GRU') throw unknown(layer);
  const className = `BlockTerm${type}Cell`;
  const fixed = { activation: 'tanh', recurrent_activation: 'sigmoid', dropout: '0', recurrent_dropout: '0', reset_after: 'True' };
  const cell = pythonCall(className, [units], [...pythonForm(form), ...carryOver(layer, given, ['use_bias'], fixed)]);
  const rest = carryOver(layer, given, ['return_sequences', 'return_state', 'go_backwards', 'stateful', 'unroll', ...KERAS_COMMON], {});
  return { className, text: pythonCall('tf.keras.layers.RNN', [cell], rest) };
}

const TFJS_COMMON = ['name', 'inputShape', 'batchInputShape', 'batchSize', 'dtype', 'trainable'];

function tfjs(layer: SourceLayer, form: BlockTermForm): Replacement {
  const { type } = layer;
  const given = named(layer, []);
  const list = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  const { inputModes, outputModes, ranks, blocks, path } = form;
  const own: Argument[] = [
    ['units', String(form.outputs / form.gates)],
    ['inputModes', list(inputModes)],
    ['outputModes', list(outputModes)],
    ['ranks', list(ranks)],
    ['blocks', String(blocks)],
    ['path', `[${path.map(list).join(', ')}]`],
  ];
  const object = (entries: readonly Argument[]): string => `{ ${entries.map(([name, text]) => (name === text ? name : `${name}: ${text}`)).join(', ')} }`; // prettier-ignore
  if (type === 'dense') {
    const rest = carryOver(layer, given, ['activation', 'useBias', ...TFJS_COMMON], {});
    return { className: 'BlockTermDense', text: `new BlockTermDense(${object([...own, ...rest])})` };
  }
  if (type !== 'lstm' && type !== 'gru') throw unknown(layer);
  const className = `BlockTerm${type.toUpperCase()}Cell`;
  const fixed = { activation: 'tanh', recurrentActivation: 'sigmoid', dropout: '0', recurrentDropout: '0', resetAfter: 'true' };
  const cell = `new ${className}(${object([...own, ...carryOver(layer, given, ['useBias'], fixed)])})`;
  const rest = carryOver(layer, given, ['returnSequences', 'returnState', 'goBackwards', 'stateful', 'unroll', ...TFJS_COMMON], {});
  return { className, text: `tf.layers.rnn(${object([['cell', cell], ...rest])})` };
}

const unknown = ({ path, type, call }: SourceLayer): Error =>
  new Error(`${path || type} in line ${call.line + 1}: no block-term form of ${type} can be written into this source`);
