import { createModel } from '../../architectures/createModel';
import type { MemoryOptions } from '../../contract/memory';
import { SurgeryError } from '../../graph/errors';
import { planMemory } from '../../memory/plan';
import { BudgetTooSmall } from '../../memory/scheduler';
import { blockSize } from '../../runtime/layout';
import { trainingProgram } from './memoryPrograms';
import { runtime } from './runtime';

/** Depth as a function of the blocks of a stage, by family. */
const FAMILIES: Readonly<Record<string, (blocks: number) => string>> = {
  resnet: (blocks) => `resnet${6 * blocks + 2}`,
  wrn: (blocks) => `wrn-${6 * blocks + 4}-1`,
};
/** Deeper networks are not looked for: planning takes its time. */
const MOST_BLOCKS = 128;

export interface DeepestOptions extends MemoryOptions {
  readonly budget: number;
  readonly input: readonly number[];
  readonly classes: number;
}

export interface DeepestNetwork {
  readonly batch: number;
  readonly budget: number;
  /** Name for `create`; missing when the budget holds not even the shallowest. */
  readonly architecture?: string;
  /** Whether the search ended before the budget did. */
  readonly atLeast: boolean;
}

/**
 * The deepest network of a family whose training step a pool of `budget` bytes holds.
 * @throws SurgeryError 'option-invalid' when the family is unknown
 */
export async function deepestNetwork(family: string, options: DeepestOptions): Promise<DeepestNetwork> {
  const name = FAMILIES[family];
  if (!name)
    throw new SurgeryError(
      'option-invalid',
      `--deepest: ${family} is no family of any depth; choose one of ${Object.keys(FAMILIES).join(', ')}`,
    );
  const { batch, budget, input, classes, policy = 'auto' } = options;
  const block = await blockSize(runtime(), options.layout);
  const holds = (blocks: number): boolean => {
    try {
      planMemory(trainingProgram(createModel(name(blocks), { input, classes, seed: 1 }), options, block), policy, budget);
      return true;
    } catch (error) {
      if (error instanceof BudgetTooSmall) return false;
      throw error;
    }
  };
  let [low, high] = [0, 1];
  while (high <= MOST_BLOCKS && holds(high)) [low, high] = [high, 2 * high];
  const atLeast = high > MOST_BLOCKS;
  while (!atLeast && high - low > 1) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return { batch, budget, ...(low > 0 ? { architecture: name(low) } : {}), atLeast };
}
