import { Command, CommanderError, Option } from 'commander';
import { version } from '../../package.json';
import { DEVICE_CHOICES, type DeviceChoice } from '../contract/devices';
import { knownDevice, measureInBackground } from '../server/operations/autoDevice';
import { answerProbe } from '../server/operations/probeDevice';
import { calibrated } from '../server/operations/calibration';
import { chooseDevice } from '../server/operations/runtime';
import { defineApply } from './commands/apply';
import { defineCalibrate } from './commands/calibrate';
import { defineCompare } from './commands/compare';
import { defineConvert } from './commands/convert';
import { defineCreate } from './commands/create';
import { defineDecompose } from './commands/decompose';
import { defineDevices } from './commands/devices';
import { defineEvaluate } from './commands/evaluate';
import { defineGradients } from './commands/gradients';
import { defineImportance } from './commands/importance';
import { defineInspect } from './commands/inspect';
import { defineMemory } from './commands/memory';
import { definePrune } from './commands/prune';
import { defineRanks } from './commands/ranks';
import { defineTickTock } from './commands/tickTock';
import { defineTrain } from './commands/train';

const USAGE = 2;
const COMPUTE_NOTHING = new Set(['calibrate', 'inspect', 'create', 'devices', 'tick-tock-config']);

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('scalpel')
    .description('Model surgery on ONNX files: see, cut, tune, verify.')
    .version(version)
    .exitOverride();
  program.configureOutput({ writeErr: (text) => process.stderr.write(text) });
  for (const define of [
    defineInspect,
    defineImportance,
    definePrune,
    defineDecompose,
    defineRanks,
    defineTickTock,
    defineTrain,
    defineEvaluate,
    defineCreate,
    defineConvert,
    defineApply,
    defineCompare,
    defineGradients,
    defineDevices,
    defineMemory,
    defineCalibrate,
  ])
    define(program);
  for (const command of program.commands) command.exitOverride();
  addDevices(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  }
}

/** Every command that runs a network can choose where. */
function addDevices(program: Command): void {
  for (const command of program.commands)
    if (!COMPUTE_NOTHING.has(command.name()))
      command.addOption(
        new Option('--device <name>', 'what runs the network; auto is the fastest, measured once')
          .choices([...DEVICE_CHOICES])
          .default('auto'),
      );
  program.hook('preAction', async (_program, command) => {
    const { device } = command.opts<{ device?: DeviceChoice }>();
    if (!device) return;
    const log = (message: string): void => void process.stderr.write(`${message}\n`);
    // Who asked for no device does not wait for a measurement: it is made when the command has ended.
    const isDefault = command.getOptionValueSource('device') === 'default';
    await chooseDevice(isDefault ? knownDevice(log, () => process.once('exit', measureInBackground)) : device, log);
  });
}

async function start(): Promise<void> {
  if (!(await answerProbe(calibrated))) await main(process.argv);
}

void start();
