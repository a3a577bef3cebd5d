import type { Command } from 'commander';
import type { DataDescription } from '../../contract/data';
import type { ModelSummary } from '../../contract/models';
import type { GroupExplanation } from '../../contract/pruning';
import { SurgeryError } from '../../graph/errors';
import { explainModelGroup } from '../../server/operations/groups';
import { inspectModel } from '../../server/operations/inspect';
import { inspectData } from '../../server/operations/inspectData';
import { runCommand } from '../io';
import { type DataFlags, type JsonOption, addDataOptions, addJson } from '../options';
import { formatBytes, formatCount, formatTable } from '../table';

export function defineInspect(program: Command): void {
  const command = program
    .command('inspect [model]')
    .description('layers with their costs, prunable groups, and what is unsupported; or what data holds')
    .option('--explain <group>', 'why the channels of this group (or layer) stay or go together');
  addJson(addDataOptions(command, false)).action((model: string | undefined, options: JsonOption & DataFlags & { explain?: string }) =>
    runCommand(options, async () => {
      if (model === undefined && options.data === undefined)
        throw new SurgeryError('option-invalid', 'inspect needs a model file, or --data and where the data is');
      if (model !== undefined && options.explain !== undefined) {
        const explanation = await explainModelGroup(model, options.explain);
        return { document: explanation, text: explain(explanation) };
      }
      const data = options.data === undefined ? undefined : await inspectData({ ...options, data: options.data });
      const summary = model === undefined ? undefined : await inspectModel(model);
      const text = [summary ? describe(summary) : '', data ? describeData(data) : ''].filter(Boolean).join('\n\n');
      return { document: { ...summary, ...(data ? { data } : {}) }, text };
    }),
  );
}

function explain({ id, channels, layers, links, readers }: GroupExplanation): string {
  const lines = [
    `${id}: ${channels} channels, made by ${layers.join(', ')}`,
    ...links.map((link) => `  ${link.reason}`),
    ...(links.length === 0 ? ['  No other layer makes these channels.'] : []),
    `A channel that goes takes a slice of the weights of ${readers.length > 0 ? readers.join(', ') : 'no other layer'}.`,
  ];
  return lines.join('\n');
}

function describeData(data: DataDescription): string {
  const { mean, std } = data.statistics ?? {};
  const classes =
    data.classes.length > 12 ? `${data.classes.slice(0, 12).join(', ')} and ${data.classes.length - 12} more` : data.classes.join(', ');
  return [
    `${data.name}: ${formatCount(data.train)} samples to train and ${formatCount(data.test)} to test, ${data.layout} [${data.sampleShape.join(', ')}], ${data.element}`,
    ...data.notes,
    `classes (${data.classes.length}): ${classes}`,
    `scaling: ${data.scaling}`,
    ...(mean && std ? [`statistics: --mean ${mean.join(',')} --std ${std.join(',')}`] : []),
  ].join('\n');
}

function describe(summary: ModelSummary): string {
  const layers = formatTable(
    ['layer', 'operator', 'output', 'parameters', 'MACs', 'activation bytes'],
    summary.layers.map((l) => [l.name, l.op, l.outputShape.join('×'), l.parameters, l.macs, l.activationBytes]),
  );
  const { parameters, macs, activationBytes } = summary.totals;
  const lines = [
    `${summary.path}: ${summary.format}, opset ${summary.opset}, ${formatBytes(summary.bytes)}`,
    layers,
    '',
    `${formatCount(parameters)} parameters, ${formatCount(macs)} MACs a sample, ${formatBytes(activationBytes)} of activations.`,
    'MACs count Conv, Gemm, MatMul and recurrent operators; others count zero.',
  ];
  if (summary.groups.length > 0) {
    const rows = summary.groups.map((g) => [
      g.id,
      g.channels,
      g.macsPerChannel,
      g.parametersPerChannel,
      g.layers.length > 3 ? `${g.layers.slice(0, 3).join(', ')} and ${g.layers.length - 3} more` : g.layers.join(', '),
    ]);
    lines.push('', formatTable(['prunable group', 'channels', 'MACs each', 'parameters each', 'layers'], rows));
  }
  for (const { layer, reason } of summary.locked) lines.push(`locked: ${layer}: ${reason}`);
  for (const { node, op, reason } of summary.unsupported) lines.push(`unsupported: ${node} (${op}): ${reason}`);
  if (summary.noiseLayers.length > 0) lines.push('', `noise in training goes by itself after: ${summary.noiseLayers.join(', ')}`);
  return lines.join('\n');
}
