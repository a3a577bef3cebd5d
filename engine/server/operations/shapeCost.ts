import type { ShapeCost } from '../../contract/decomposition';
import { describePath, findContractionPath } from '../../decomposition/contractionPath';
import { blockTermCost, blockTermNetwork, blockTermShape } from '../../decomposition/layerForms';

export interface ShapeFlags {
  readonly inputModes: readonly number[];
  readonly outputModes: readonly number[];
  readonly rank: readonly number[];
  readonly blocks: number;
  readonly batch: number;
}

/** Parameters, multiply-accumulates and contraction order of a block-term layer of this shape. */
export function costOfShape({ inputModes, outputModes, rank, blocks, batch }: ShapeFlags): ShapeCost {
  const shape = blockTermShape(inputModes, outputModes, rank, blocks);
  const network = blockTermNetwork(shape, batch);
  const path = findContractionPath(network);
  const cost = blockTermCost(shape);
  return {
    ...shape,
    batch,
    ...cost,
    macs: path.macs,
    denseMacs: batch * cost.denseParameters,
    peakBytes: path.peakBytes,
    rebuilds: path.rebuilds,
    path: describePath(network, path),
  };
}
