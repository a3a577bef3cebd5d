import { rename, rm, writeFile } from 'node:fs/promises';
import type { MemoryFormat, MemoryReport, MemoryRequests } from '../../contract/memory';
import { SurgeryError } from '../../graph/errors';
import { chromeTrace } from '../../memory/chromeTrace';
import { memoryOfModel } from './memory';
import type { OperationContext } from './operation';

type ExportOptions = Omit<MemoryRequests['memory/export']['params'], 'job' | 'path'>;

/** Plans a training step and writes its timeline. */
export async function exportMemory(
  file: string,
  { format, output, ...options }: ExportOptions,
  context: OperationContext = {},
): Promise<{ output: string }> {
  const report = await memoryOfModel(file, options, context);
  if (report.timeline.length === 0) throw new SurgeryError('budget-impossible', report.advice ?? 'There is no timeline to export');
  await writeMemory(report, format, output);
  return { output };
}

/** Writes a report with its timeline as JSON, or as a trace for chrome://tracing and Perfetto. */
export async function writeMemory(report: MemoryReport, format: MemoryFormat, output: string): Promise<void> {
  const temporary = `${output}.${process.pid}.tmp`;
  const text = format === 'trace' ? JSON.stringify(chromeTrace(report.timeline)) : `${JSON.stringify(report, undefined, 1)}\n`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, output);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new SurgeryError('option-invalid', `${output} cannot be written: ${(error as Error).message}`);
  }
}
