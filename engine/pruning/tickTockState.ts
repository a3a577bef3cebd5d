import type { TickTockPhase, TickTockPoint } from '../contract/tickTock';
import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import type { TrainerState } from '../training/trainer';
import { findChannelGroups } from './channelGroups';
import type { GatedNetwork } from './gates';
import { mergeGates } from './gates';
import { sliceNetwork } from './slice';

/** Where a run is. Replaced as a whole at the end of every epoch and Tick, so that it is consistent at any time. */
export interface TickTockState {
  readonly phase: TickTockPhase | 'done';
  readonly ticks: number;
  readonly ticksSinceTock: number;
  /** Epochs done in this phase. */
  readonly epoch: number;
  /** Passes over the data so far; every pass has an order of its own. */
  readonly passes: number;
  /** Channels of the network at the start that are left, by group that lost some. */
  readonly kept: ReadonlyMap<string, readonly number[]>;
  readonly history: readonly TickTockPoint[];
  /** Largest difference from the masked or gated network so far. */
  readonly difference: number;
  /** With gates until fine-tuning begins. */
  readonly network: Graph;
  /** Of the trainer, within a phase. */
  readonly trainer?: TrainerState;
}

export const isGated = ({ phase }: Pick<TickTockState, 'phase'>): boolean => phase === 'tock' || phase === 'tick';

const STATE = 'state';
const FORMAT = 1;

/** A state as named tensors, one of which holds the rest as JSON. `key` names what the run was started with. */
export function packState(state: TickTockState, key: string): Map<string, Tensor> {
  const { network, trainer, kept, ...rest } = state;
  const header = JSON.stringify({ format: FORMAT, key, ...rest, kept: [...kept], step: trainer?.step });
  const tensors = new Map<string, Tensor>([[STATE, bytes(header)]]);
  for (const [name, tensor] of network.initializers) tensors.set(`weight/${name}`, tensor);
  for (const [name, tensor] of trainer?.tensors ?? []) tensors.set(`trainer/${name}`, tensor);
  return tensors;
}

/** The state that `packState` made, on the gated network it began with. Throws SurgeryError when it belongs to another run. */
export function unpackState(tensors: ReadonlyMap<string, Tensor>, key: string, start: GatedNetwork, file: string): TickTockState {
  const header = tensors.get(STATE);
  if (!header) throw new SurgeryError('file-malformed', `${file} is not a checkpoint of tick-tock`);
  const { format, key: other, step, kept, ...rest } = JSON.parse(Buffer.from(header.data as Uint8Array).toString()) as Header;
  if (format !== FORMAT || other !== key)
    throw new SurgeryError(
      'option-invalid',
      `${file} belongs to a run with another model, data, budget or configuration; remove it or run without --resume`,
    );
  const selection = new Map(kept);
  const sliced = selection.size > 0 ? sliceNetwork(findChannelGroups(start.graph), selection) : start.graph;
  const structure = isGated(rest) ? sliced : mergeGates(sliced, [...start.gates.values()].flat());
  const network = { ...structure, initializers: new Map(structure.initializers) };
  for (const name of structure.initializers.keys()) {
    const tensor = tensors.get(`weight/${name}`);
    if (!tensor) throw new SurgeryError('file-malformed', `${file} does not hold ${name}`);
    network.initializers.set(name, tensor);
  }
  const own = [...tensors].filter(([name]) => name.startsWith('trainer/')).map(([name, t]) => [name.slice('trainer/'.length), t] as const);
  return { ...rest, kept: selection, network, ...(step === undefined ? {} : { trainer: { step, tensors: new Map(own) } }) };
}

type Header = Omit<TickTockState, 'network' | 'trainer' | 'kept'> & {
  format: number;
  key: string;
  step?: number;
  kept: [string, readonly number[]][];
};

const bytes = (text: string): Tensor => ({ type: 'uint8', dims: [Buffer.byteLength(text)], data: new Uint8Array(Buffer.from(text)) });
