import { type ArchitectureOptions, createModel } from '../../architectures/createModel';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import type { Totals } from '../../contract/models';
import { inspectModel } from './inspect';

export type CreateOptions = ArchitectureOptions;

export async function createModelFile(architecture: string, output: string, options: CreateOptions): Promise<Totals & { path: string }> {
  await writeOnnx(createModel(architecture, options), output);
  const { totals } = await inspectModel(output);
  return { path: output, ...totals };
}
