import type { Command } from 'commander';
import type { ModelSummary } from '../../contract/models';
import type { GroupExplanation } from '../../contract/pruning';
import { explainModelGroup } from '../../server/operations/groups';
import { inspectModel } from '../../server/operations/inspect';
import { runCommand } from '../io';
import { type JsonOption, addJson } from '../options';
import { formatBytes, formatCount, formatTable } from '../table';

export function defineInspect(program: Command): void {
  const command = program
    .command('inspect <model>')
    .description('layers with their costs, prunable groups, and what is unsupported')
    .option('--explain <group>', 'why the channels of this group (or layer) stay or go together');
  addJson(command).action((model: string, options: JsonOption & { explain?: string }) =>
    runCommand(options, async () => {
      if (options.explain !== undefined) {
        const explanation = await explainModelGroup(model, options.explain);
        return { document: explanation, text: explain(explanation) };
      }
      const summary = await inspectModel(model);
      return { document: summary, text: describe(summary) };
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
