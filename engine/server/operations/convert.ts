import type { Totals } from '../../contract/models';
import { writeOnnx } from '../../formats/onnx/writeOnnx';
import { openModel } from '../../formats/openModel';
import { SurgeryError } from '../../graph/errors';
import { inspectModel } from './inspect';

export interface ConvertResult extends Totals {
  readonly format: string;
  readonly path: string;
}

/** Writes a model of any format that Scalpel reads as ONNX, nothing else changed. */
export async function convertModel(file: string, output: string): Promise<ConvertResult> {
  if (!/\.onnx$/i.test(output)) throw new SurgeryError('option-invalid', `${output}: the name of the output must end in .onnx`);
  const { format, graph } = await openModel(file);
  await writeOnnx(graph, output);
  const { totals } = await inspectModel(output);
  return { format, path: output, ...totals };
}
