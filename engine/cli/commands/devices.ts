import type { Command } from 'commander';
import type { DeviceReport } from '../../contract/devices';
import { describeDevices } from '../../server/operations/devices';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';
import { formatBytes } from '../table';

export function defineDevices(program: Command): void {
  addJson(program.command('devices').description('what can run here'))
    .option('--calibrate', 'time a training step on each')
    .action((options: JsonOption & { calibrate?: boolean }) =>
      runCommand(options, async () => {
        const info = await describeDevices(options.calibrate);
        const lines = info.devices.map(describe);
        return { document: info, text: [`${info.runtime}, ${info.threads} threads`, ...lines].join('\n') };
      }),
    );
}

function describe({ id, description, memoryBytes, unavailable, stepMs }: DeviceReport): string {
  const memory = memoryBytes === undefined ? '' : `, ${formatBytes(memoryBytes)}`;
  const time = stepMs === undefined ? '' : `, ${stepMs.toFixed(1)} ms for a training step`;
  return unavailable === undefined ? `${id}: ${description}${memory}${time}` : `${id}: not available (${unavailable})`;
}
