import path from 'node:path';
import * as vscode from 'vscode';
import { formatBytes, formatCount } from '../engine/contract/format';
import type { MemoryReport } from '../engine/contract/memory';
import type { ModelSummary } from '../engine/contract/models';
import type { EngineClient } from './engineClient';
import type { ModelDocument } from './modelDocument';
import type { ModelEditorProvider } from './modelEditor';

interface ToolInput {
  /** Model file, relative to the workspace folder; the active model when left out. */
  readonly model?: string;
}

interface Target {
  readonly path: string;
  /** The open editor of the file, with the plan that it shows. */
  readonly document?: ModelDocument;
}

type Answer<T extends ToolInput> = (target: Target, input: T) => Promise<string>;

/** Tools that a language model can call: they tell what the engine says of a model in the workspace, and change nothing. */
export function registerModelTools(engine: EngineClient, editors: ModelEditorProvider): vscode.Disposable[] {
  const tool = <T extends ToolInput>(name: string, message: string, answer: Answer<T>): vscode.Disposable =>
    vscode.lm.registerTool<T>(name, {
      prepareInvocation: () => ({ invocationMessage: message }),
      invoke: async ({ input }) => {
        const text = await answer(findModel(editors, input.model), input);
        return new vscode.LanguageModelToolResult([new vscode.LanguageModelTextPart(text)]);
      },
    });
  return [
    tool('scalpel_inspect', 'Inspecting the model', async (target) => describeModel(await inspect(engine, target))),
    tool<ToolInput & { batch: number; budgetMiB?: number }>('scalpel_memory', 'Planning training memory', async (target, input) => {
      const budget = input.budgetMiB === undefined ? {} : { budget: input.budgetMiB * 2 ** 20 };
      const request = { job: engine.newJob(), path: target.path, plan: target.document?.plan, batch: input.batch, ...budget };
      return describeMemory(await engine.request('model/memory', request));
    }),
  ];
}

function findModel(editors: ModelEditorProvider, name: string | undefined): Target {
  if (name === undefined) {
    const document = editors.active;
    if (!document) throw new Error('No model is open; name a model file of the workspace');
    return { path: document.basePath, document };
  }
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? '';
  const file = path.resolve(folder, name);
  const document = editors.documents.find((d) => d.file === file);
  return document ? { path: document.basePath, document } : { path: file };
}

const inspect = async (engine: EngineClient, { path: file, document }: Target): Promise<ModelSummary> =>
  document?.summary ?? engine.request('model/inspect', { path: file });

function describeModel({ format, opset, bytes, totals, layers, groups, locked, unsupported }: ModelSummary): string {
  const weighted = layers.filter((layer) => layer.parameters > 0);
  return [
    `${format} opset ${opset}, ${formatBytes(bytes)}, ${formatCount(totals.parameters)} parameters, ${formatCount(totals.macs)} MACs for one sample`,
    'layers (name, operator, output shape, parameters, MACs, prunable group):',
    ...weighted.map((l) => `${l.name}, ${l.op}, ${l.outputShape.join('x')}, ${l.parameters}, ${l.macs}, ${l.group ?? '-'}`),
    'prunable groups (id, channels, layers that lose the same channels):',
    ...groups.map((g) => `${g.id}, ${g.channels}, ${g.layers.join(' ')}`),
    ...locked.map(({ layer, reason }) => `locked: ${layer}: ${reason}`),
    ...unsupported.map(({ node, op, reason }) => `not supported: ${node} (${op}): ${reason}`),
  ].join('\n');
}

function describeMemory({ batch, policies, pinnedBytes, advice }: MemoryReport): string {
  return [
    `a training step at batch ${batch}; weights and optimiser state take ${formatBytes(pinnedBytes)} of the pool`,
    'policy: pool, traffic, recomputations, added time; floor and the layer that sets it',
    ...policies.map((p) => {
      const floor = `floor ${formatBytes(p.floorBytes)}${p.floorLayer && ` (${p.floorLayer})`}`;
      if (!p.feasible) return `${p.policy}: the budget does not hold it; ${floor}`;
      const added = `${(100 * (p.extraFraction ?? 0)).toFixed(1)} % more time`;
      return `${p.policy}: ${formatBytes(p.poolBytes ?? 0)}, ${formatBytes(p.trafficBytes ?? 0)}, ${p.recomputations ?? 0}, ${added}; ${floor}`;
    }),
    ...(advice ? [advice] : []),
  ].join('\n');
}
