import type { Command } from 'commander';
import { convertModel } from '../../server/operations/convert';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';

export function defineConvert(program: Command): void {
  const command = program.command('convert <model>').description('write a Keras (.h5) or tfjs (model.json) model as ONNX');
  addJson(command.requiredOption('-o, --output <file>', 'where the ONNX file goes')).action(
    (model: string, options: JsonOption & { output: string }) =>
      runCommand(options, async () => {
        const result = await convertModel(model, options.output);
        return {
          document: result,
          text: `Wrote ${result.path} (${result.format}, ${result.parameters.toLocaleString('en-US')} parameters)`,
        };
      }),
  );
}
