import { type Command, Option } from 'commander';
import { type MemoryPolicy, type MemoryReport, type PaperResult, type WorkspaceMode, describeForms } from '../../contract/memory';
import { SurgeryError } from '../../graph/errors';
import { MEMORY_POLICIES, WORKSPACE_MODES } from '../../memory/schedule';
import { deepestNetwork } from '../../server/operations/deepestNetwork';
import { memoryOfModel } from '../../server/operations/memory';
import { exportMemory, writeMemory } from '../../server/operations/memoryExport';
import { paperMemory } from '../../server/operations/paperMemory';
import { runCommand } from '../io';
import { type JsonOption, WORKSPACE_HELP, addJson, byteCount, positiveInteger, sizeList } from '../options';
import { formatBytes, formatPercent, formatTable } from '../table';

interface MemoryFlags extends JsonOption {
  batch: number;
  budget?: number;
  policy: MemoryPolicy;
  workspace?: WorkspaceMode;
  optimiser: 'sgd' | 'adam' | 'adamw';
  largestBatch?: boolean;
  deepest?: boolean;
  input: number[];
  classes: number;
  trace?: string;
  snapshot?: string;
  paper?: string;
}

export function defineMemory(program: Command): void {
  const command = program
    .command('memory [model]')
    .description('where every byte of a training step goes, without training')
    .requiredOption('--batch <count>', 'samples in a step', positiveInteger)
    .option('--budget <size>', 'pool that the step must fit into, such as 512MiB', byteCount)
    .addOption(new Option('--policy <name>', 'whose timeline is given').choices([...MEMORY_POLICIES]).default('auto'))
    .addOption(new Option('--workspace <mode>', WORKSPACE_HELP).choices([...WORKSPACE_MODES]))
    .addOption(new Option('--optimiser <name>', 'update rule, for its state').choices(['sgd', 'adam', 'adamw']).default('sgd'))
    .option('--largest-batch', 'also look for the largest batch that the budget holds')
    .option('--deepest', 'the deepest network of a family (resnet, wrn in the place of the model) that the budget holds')
    .option('--input <sizes>', 'channels, height, width of --deepest', sizeList, [3, 32, 32])
    .option('--classes <count>', 'classes of --deepest', positiveInteger, 10)
    .option('--trace <file>', 'write the timeline for chrome://tracing or Perfetto')
    .option('--snapshot <file>', 'write every allocation as a memory snapshot of PyTorch (.pickle) for pytorch.org/memory_viz')
    .option('--paper <network>', "one of SuperNeurons' networks (alexnet, resnet50, resnet101) under the paper's cost model");
  addJson(command).action((model: string | undefined, options: MemoryFlags) =>
    runCommand(options, async () => {
      if ((options.paper === undefined) === (model === undefined))
        throw new SurgeryError('option-invalid', 'Give a model or --paper, and not both');
      if (options.paper !== undefined) return describePaper(options.paper, options.batch);
      if (options.largestBatch && options.budget === undefined) throw new SurgeryError('option-invalid', '--largest-batch needs --budget');
      if (options.workspace === 'dynamic') checkDynamic(options);
      if (options.deepest) return describeDeepest(model ?? '', options);
      const report = await memoryOfModel(model ?? '', options);
      if (options.trace !== undefined) await writeMemory(report, 'trace', options.trace);
      if (options.snapshot !== undefined) await exportMemory(model ?? '', { ...options, format: 'snapshot', output: options.snapshot });
      return { document: report, text: describe(report) };
    }),
  );
}

function checkDynamic({ budget, deepest }: MemoryFlags): void {
  if (deepest) throw new SurgeryError('option-invalid', '--deepest answers for the fixed workspace; leave --workspace dynamic out');
  if (budget === undefined)
    throw new SurgeryError('option-invalid', '--workspace dynamic chooses by the bytes that a budget leaves; give --budget');
}

async function describeDeepest(family: string, { budget, ...options }: MemoryFlags) {
  if (budget === undefined) throw new SurgeryError('option-invalid', '--deepest needs --budget');
  const document = await deepestNetwork(family, { ...options, budget });
  const found = document.architecture === undefined ? 'holds no network of this family' : `holds ${document.architecture}`;
  const more = document.atLeast ? ' and perhaps deeper ones, which were not looked for' : '';
  return { document, text: `A pool of ${formatBytes(budget)} ${found}${more} at batch ${options.batch}.` };
}

function describe(report: MemoryReport): string {
  const size = (bytes: number | undefined): string => (bytes === undefined ? '-' : formatBytes(bytes));
  const rows = report.policies.map((p) => [
    p.policy,
    p.feasible ? size(p.poolBytes) : 'does not fit',
    size(p.peakBytes),
    size(p.trafficBytes),
    p.recomputations === undefined ? '-' : String(p.recomputations),
    p.extraFraction === undefined ? '-' : formatPercent(p.extraFraction),
    formatBytes(p.floorBytes),
    p.floorLayer,
  ]);
  const table = formatTable(['policy', 'pool', 'peak', 'moved', 'computed again', 'time added', 'floor', 'set by'], rows);
  const budget = report.budget === undefined ? 'the least pool that holds everything' : `a budget of ${formatBytes(report.budget)}`;
  const largest = report.largestBatch === undefined ? '' : `\nLargest batch within it: ${report.largestBatch}.`;
  const advice = report.advice === undefined ? '' : `\n${report.advice}.`;
  const forms = report.convolutions ? `\n${describeForms(report.convolutions)}.` : '';
  return `${table}\nBatch ${report.batch}, ${report.operations} operators, ${budget}; weights and state take ${formatBytes(report.pinnedBytes)}.${forms}${largest}${advice}`;
}

function describePaper(name: string, batch: number) {
  const document = paperMemory(name, batch);
  const rows = Object.entries<PaperResult>(document).map(([technique, r]) => [
    technique,
    r.peakMiB.toFixed(3),
    String(r.step),
    String(r.tensors),
    String(r.recomputes),
  ]);
  return { document, text: formatTable(['technique', 'peak MiB', 'at step', 'tensors', 'recomputes'], rows) };
}
