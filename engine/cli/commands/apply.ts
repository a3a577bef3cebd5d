import type { Command } from 'commander';
import { applyPlanFile } from '../../server/operations/applyPlan';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';
import { formatCount } from '../table';

export function defineApply(program: Command): void {
  const command = program
    .command('apply <plan>')
    .description('replay a surgery plan on its base model')
    .requiredOption('-o, --output <file>', 'where the model goes')
    .option('--weights <file.safetensors>', 'write the weights here too, under the names they have')
    .option('--base <file>', 'the base model, if it is not where the plan says');
  addJson(command).action((plan: string, options: JsonOption & { output: string; base?: string; weights?: string }) =>
    runCommand(options, async (io) => {
      const result = await applyPlanFile(plan, options, io);
      const { parameters, macs } = result.summary.totals;
      return {
        document: result,
        text: `Wrote ${options.output}: ${formatCount(parameters)} parameters, ${formatCount(macs)} MACs a sample; it differs from the masked network by ${result.maskedDifference.toExponential(1)} (relative)`,
      };
    }),
  );
}
