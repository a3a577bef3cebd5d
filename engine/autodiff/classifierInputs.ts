import { SurgeryError } from '../graph/errors';
import { type Graph, type NamedValue, feedsOf } from '../graph/graph';

export interface ClassifierInputs {
  /** The samples, [N, ...]. */
  readonly x: NamedValue;
  /** Number of steps of every sequence, [N] of whole numbers, where the network takes it. */
  readonly lengths?: NamedValue;
}

/** What a classifier is fed with; throws SurgeryError 'graph-invalid' for other inputs than samples and their lengths. */
export function classifierInputs(network: Graph): ClassifierInputs {
  const feeds = feedsOf(network);
  const isLengths = (input: NamedValue): boolean => /^int(32|64)$/.test(input.type) && input.shape?.length === 1;
  const [x, ...others] = feeds.filter((input) => !isLengths(input));
  const [lengths, ...more] = feeds.filter(isLengths);
  if (!x || others.length > 0 || more.length > 0)
    throw new SurgeryError(
      'graph-invalid',
      `A classifier takes one input, and for sequences their lengths as well; this network takes ${feeds.map((f) => f.name).join(', ') || 'none'}`,
    );
  return lengths ? { x, lengths } : { x };
}
