import { rename, rm, writeFile } from 'node:fs/promises';
import type { MemoryFormat, MemoryPolicy, MemoryReport, MemoryRequests } from '../../contract/memory';
import { encodePickle } from '../../formats/pickle/encodePickle';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import { chromeTrace } from '../../memory/chromeTrace';
import { planOrExplain } from '../../memory/plan';
import type { MemoryProgram } from '../../memory/program';
import type { Schedule } from '../../memory/schedule';
import { torchSnapshot } from '../../memory/torchSnapshot';
import { memoryOfModel } from './memory';
import { graphOf, programOf, workspaceOf } from './memoryPrograms';
import type { OperationContext } from './operation';

type ExportOptions = Omit<MemoryRequests['memory/export']['params'], 'job' | 'path'>;

/** Plans a training step and writes its timeline. */
export async function exportMemory(
  file: string,
  { format, output, ...options }: ExportOptions,
  context: OperationContext = {},
): Promise<{ output: string }> {
  if (format === 'snapshot') await writeSnapshot(file, options, output);
  else {
    const report = await memoryOfModel(file, options, context);
    if (report.timeline.length === 0) throw new SurgeryError('budget-impossible', report.advice ?? 'There is no timeline to export');
    await writeMemory(report, format, output);
  }
  return { output };
}

/** Writes a report with its timeline as JSON, or as a trace for chrome://tracing and Perfetto. */
export function writeMemory(report: MemoryReport, format: Exclude<MemoryFormat, 'snapshot'>, output: string): Promise<void> {
  return writeWhole(
    format === 'trace' ? JSON.stringify(chromeTrace(report.timeline)) : `${JSON.stringify(report, undefined, 1)}\n`,
    output,
  );
}

/** Every allocation of the step at its place in the pool, as a snapshot of PyTorch's for pytorch.org/memory_viz. */
async function writeSnapshot(
  file: string,
  { plan, policy = 'auto', budget, ...options }: Omit<ExportOptions, 'format' | 'output'>,
  output: string,
) {
  const { program, schedule } = await plannedStep(await graphOf(file, plan), options, policy, budget);
  await writeWhole(encodePickle(torchSnapshot(program, schedule)), output);
}

async function plannedStep(
  graph: Graph,
  { workspace, ...options }: Omit<ExportOptions, 'format' | 'output' | 'plan' | 'policy' | 'budget'>,
  policy: MemoryPolicy,
  budget?: number,
): Promise<{ program: MemoryProgram; schedule: Schedule }> {
  if (workspace === 'dynamic' && budget !== undefined) {
    const { built, schedule } = (await workspaceOf(graph, options)).within(policy, budget);
    return { program: built.program, schedule: schedule ?? planOrExplain(built.program, policy, budget) };
  }
  const program = await programOf(graph, options);
  return { program, schedule: planOrExplain(program, policy, budget) };
}

async function writeWhole(content: string | Uint8Array, output: string): Promise<void> {
  const temporary = `${output}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, output);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new SurgeryError('option-invalid', `${output} cannot be written: ${(error as Error).message}`);
  }
}
