import * as vscode from 'vscode';
import type { PaperReport } from '../engine/contract/memory';
import type { EngineClient } from './engineClient';

/** Networks of the paper with the batch that it gives figures for. */
const NETWORKS = [
  { label: 'AlexNet', network: 'alexnet', batch: 200 },
  { label: 'ResNet-50', network: 'resnet50', batch: 32 },
  { label: 'ResNet-101', network: 'resnet101', batch: 32 },
] as const;

const TECHNIQUES = {
  baseline: 'everything allocated',
  liveness: 'liveness',
  offload: 'offload and prefetch',
  speedCentric: 'recomputation, speed-centric',
  memoryCentric: 'recomputation, memory-centric',
  costAware: 'recomputation, cost-aware',
} as const satisfies Record<keyof PaperReport, string>;

/** Peaks of one of SuperNeurons' own networks under the paper's cost model, as a table in a new document. */
export async function showPaperMemory(engine: EngineClient): Promise<void> {
  const items = NETWORKS.map((item) => ({ ...item, description: `batch ${item.batch} in the paper` }));
  const chosen = await vscode.window.showQuickPick(items, { placeHolder: 'Network of SuperNeurons (PPoPP 2018)' });
  if (!chosen) return;
  const text = await vscode.window.showInputBox({
    title: `${chosen.label}: samples in a step`,
    value: String(chosen.batch),
    validateInput: (value) => (/^[1-9]\d*$/.test(value.trim()) ? undefined : 'A whole number above zero'),
  });
  if (text === undefined) return;
  const batch = Number(text);
  const report = await engine.request('memory/paper', { network: chosen.network, batch });
  const content = describe(`${chosen.label} at batch ${batch}`, report);
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'markdown', content }));
}

function describe(title: string, report: PaperReport): string {
  const rows = Object.entries(TECHNIQUES).map(([technique, name]) => {
    const { peakMiB, step, tensors, recomputes } = report[technique as keyof PaperReport];
    return `| ${name} | ${peakMiB.toFixed(3)} | ${step} | ${tensors} | ${recomputes} |`;
  });
  return [
    `# ${title}`,
    '',
    "Under SuperNeurons' own cost model: layers of the paper, float32, parameters and workspace left out.",
    '',
    '| technique | peak MiB | at step | tensors | computed again |',
    '|---|---:|---:|---:|---:|',
    ...rows,
    '',
  ].join('\n');
}
