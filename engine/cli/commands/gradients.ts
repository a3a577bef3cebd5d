import type { Command } from 'commander';
import { computeGradients } from '../../server/operations/gradients';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';

export function defineGradients(program: Command): void {
  const command = program
    .command('gradients <model>')
    .description('loss and gradient of every parameter for one batch, to compare with another framework')
    .requiredOption('--data <batch.npz>', 'x as the model takes it and integer labels y')
    .requiredOption('-o, --output <grads.npz>', 'where the gradients go')
    .option('--train-mode', 'batch norm with batch statistics');
  addJson(command).action((model: string, options: JsonOption & { data: string; output: string; trainMode?: boolean }) =>
    runCommand(options, async (io) => {
      const result = await computeGradients(model, options, io);
      return { document: result, text: `Loss ${result.loss}; wrote ${result.parameters.length} gradients to ${options.output}` };
    }),
  );
}
