import type { Command } from 'commander';
import { describeDevices } from '../../server/operations/devices';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';
import { formatBytes } from '../table';

export function defineDevices(program: Command): void {
  addJson(program.command('devices').description('what can run here')).action((options: JsonOption) =>
    runCommand(options, async () => {
      const info = await describeDevices();
      const lines = info.devices.map((d) => `${d.id}: ${d.description}${d.memoryBytes ? `, ${formatBytes(d.memoryBytes)}` : ''}`);
      return { document: info, text: [`${info.runtime}, ${info.threads} threads`, ...lines].join('\n') };
    }),
  );
}
