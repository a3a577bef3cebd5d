import { SurgeryError } from '../graph/errors';
import type { Dataset } from './dataset';
import { MOTION_CLASSES, generateMotions } from './motions';
import { SHAPE_CLASSES, generateShapes } from './shapes';

/** Limits and default of one whole-number option. */
interface Range {
  readonly least: number;
  readonly most: number;
  readonly usual: number;
}

const SHAPE_OPTIONS = {
  classes: { least: 2, most: SHAPE_CLASSES.length, usual: 10 },
  size: { least: 8, most: 512, usual: 32 },
  channels: { least: 1, most: 3, usual: 3 },
  count: { least: 20, most: 1e6, usual: 6000 },
  seed: { least: 0, most: 2 ** 53, usual: 1 },
} satisfies Record<string, Range>;

const MOTION_OPTIONS = {
  classes: { least: 2, most: MOTION_CLASSES.length, usual: 8 },
  frames: { least: 4, most: 256, usual: 12 },
  size: { least: 8, most: 256, usual: 16 },
  count: { least: 20, most: 1e6, usual: 2400 },
  seed: { least: 0, most: 2 ** 53, usual: 1 },
} satisfies Record<string, Range>;

/** A sixth of the samples is for testing. */
export function openGenerated(kind: string, query: URLSearchParams, spec: string): Dataset {
  if (kind === 'shapes') return generateShapes(numbersIn(query, SHAPE_OPTIONS, spec), spec);
  if (kind === 'motions') return generateMotions(numbersIn(query, MOTION_OPTIONS, spec), spec);
  throw new SurgeryError('option-invalid', `${spec}: there are generated:shapes and generated:motions, not ${kind}`);
}

function numbersIn<K extends string>(query: URLSearchParams, ranges: Record<K, Range>, spec: string): Record<K, number> {
  const names = Object.keys(ranges) as K[];
  for (const name of query.keys())
    if (!(name in ranges)) throw new SurgeryError('option-invalid', `${spec}: option ${name} is not known; use ${names.join(', ')}`);
  const read = (name: K): number => {
    const { least, most, usual } = ranges[name];
    const value = Number(query.get(name) ?? usual);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new SurgeryError('option-invalid', `${spec}: ${name} must be a whole number from ${least} to ${most}`);
  };
  return Object.fromEntries(names.map((name) => [name, read(name)])) as Record<K, number>;
}
