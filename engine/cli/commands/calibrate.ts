import type { Command } from 'commander';
import { describeKernels } from '../../contract/kernels';
import { calibrateKernels } from '../../server/operations/calibrateKernels';
import { runCommand } from '../io';
import { type JsonOption, addJson, positiveInteger } from '../options';

export function defineCalibrate(program: Command): void {
  const command = program
    .command('calibrate [model]')
    .description('time the kernels of this machine, once, so that training picks the fastest ones')
    .option('--batch <count>', 'samples in a batch (default: 16)', positiveInteger);
  addJson(command).action((model: string | undefined, options: JsonOption & { batch?: number }) =>
    runCommand(options, async (io) => {
      const report = await calibrateKernels({ path: model, batch: options.batch }, io);
      return { document: report, text: describeKernels(report) };
    }),
  );
}
