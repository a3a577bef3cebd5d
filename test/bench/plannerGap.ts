/**
 * Time that planned schedules of small training steps add, against the least possible one by integer programming.
 *
 *     npx tsx test/bench/plannerGap.ts [SECONDS-FOR-EACH]
 */
import { extraSeconds, leastPool, memoryFloor, planMemory } from '../../engine/memory/plan';
import { iterationSeconds } from '../../engine/memory/report';
import { BudgetTooSmall } from '../../engine/memory/scheduler';
import type { MemoryProgram } from '../../engine/memory/program';
import { optimalExtra, optimalFloor } from '../support/optimalMemory';
import { SMALL_PROGRAMS } from '../support/plannedPrograms';

const SHARES = [0, 0.25, 0.5, 0.75];
const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 60);
  for (const { name, program: build } of SMALL_PROGRAMS) {
    const program = build();
    const [pool, floor, least] = [leastPool(program), memoryFloor(program, 'auto').bytes, await optimalFloor(program, seconds)];
    console.log(
      `${name}: ${program.operations.length} operators, ${program.storages.length} values, ${(iterationSeconds(program) * 1e3).toFixed(2)} ms; everything in ${kibibytes(pool)}, floor ${kibibytes(floor)}, least possible ${least ? kibibytes(least.bound) : '?'}`,
    );
    for (const share of SHARES) await compare(program, Math.ceil(floor + share * (pool - floor)), seconds);
  }
}

async function compare(program: MemoryProgram, budget: number, seconds: number): Promise<void> {
  const started = performance.now();
  const best = await optimalExtra(program, budget, seconds);
  const took = ((performance.now() - started) / 1e3).toFixed(1);
  const ours = planned(program, budget);
  const whole = iterationSeconds(program) * 1e3;
  const least = best ? `${best.bound.toFixed(3)} ms${best.solved ? '' : ` proven, ${best.objective.toFixed(3)} found`}` : 'nothing fits';
  const difference = best && ours !== undefined ? `, ${(((ours - best.bound) / whole) * 100).toFixed(1)} % of a step` : '';
  const ratio = best && ours !== undefined && best.bound > 0 ? `, ${(ours / best.bound).toFixed(3)} times` : '';
  console.log(
    `  ${kibibytes(budget)}: ours ${ours === undefined ? '-' : ours.toFixed(3)} ms, best ${least}${ratio}${difference} (solved in ${took} s)`,
  );
}

function planned(program: MemoryProgram, budget: number): number | undefined {
  try {
    return extraSeconds(planMemory(program, 'auto', budget)) * 1e3;
  } catch (error) {
    if (error instanceof BudgetTooSmall) return undefined;
    throw error;
  }
}

void main();
