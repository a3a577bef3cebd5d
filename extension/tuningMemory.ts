import * as vscode from 'vscode';
import { formatBytes, formatPercent } from '../engine/contract/format';
import { type TrainingMemory, describeForms, hiddenPart } from '../engine/contract/memory';
import type { TrainOptions } from '../engine/contract/protocol';
import type { EngineClient } from './engineClient';
import { memorySettings } from './memorySettings';
import type { ModelDocument } from './modelDocument';
import type { RunResult } from './runHistory';

type TuningMemory = Pick<TrainOptions, 'memoryBudget' | 'memoryPolicy' | 'workspace'>;

/**
 * The memory budget that tuning a model has to keep by the settings. A budget that cannot be met is refused here, before anything is written or
 * trained: the person is told the least that would do, and the answer is undefined.
 */
export async function tuningMemory(
  model: ModelDocument,
  engine: EngineClient,
  options: Required<Pick<TrainOptions, 'batch' | 'layout'>>,
): Promise<TuningMemory | undefined> {
  const { budget, policy, workspace } = memorySettings(model.uri);
  if (budget === undefined) return {};
  const { basePath, plan } = model;
  const request = { job: engine.newJob(), path: basePath, plan, ...options, budget, policy, workspace, largestBatch: false };
  const { policies } = await engine.request('model/memory', request);
  const own = policies.find((p) => p.policy === policy);
  if (own?.feasible) return { memoryBudget: budget, memoryPolicy: policy, workspace };
  const least = `policy ${policy} needs at least ${formatBytes(own?.floorBytes ?? 0)}${own?.floorLayer ? `, set by layer ${own.floorLayer}` : ''}`;
  const message = `The memory budget of ${formatBytes(budget)} (scalpel.memoryBudget) cannot hold a training step: ${least}.`;
  void vscode.window.showErrorMessage(message, 'Memory Timeline', 'Open Settings').then((chosen) => {
    if (chosen === 'Memory Timeline') void vscode.commands.executeCommand('scalpel.memory', model.uri);
    if (chosen === 'Open Settings') void vscode.commands.executeCommand('workbench.action.openSettings', 'scalpel.memoryBudget');
  });
  return undefined;
}

/** What training within a budget took, as lines under the finished run. */
export function memoryResults(memory: TrainingMemory): RunResult[] {
  const { poolBytes, peakBytes, measuredPeakBytes, spillBytes, trafficBytes, processBytes, processFloorBytes, convolutions } = memory;
  const hidden = hiddenPart(memory);
  return [
    {
      label: 'Pool',
      description: `${formatBytes(measuredPeakBytes ?? peakBytes)} in use at most, ${formatBytes(peakBytes)} planned, of ${formatBytes(poolBytes)}`,
    },
    ...(spillBytes > 0
      ? [
          {
            label: 'Spill',
            description: `${formatBytes(spillBytes)}, ${formatBytes(trafficBytes)} moved a step${hidden === undefined ? '' : `, ${formatPercent(hidden)} of the time behind computing`}`,
          },
        ]
      : []),
    ...(convolutions ? [{ label: 'Workspace', description: describeForms(convolutions) }] : []),
    { label: 'Process', description: `grew by ${formatBytes(processBytes)} from ${formatBytes(processFloorBytes)}` },
  ];
}
