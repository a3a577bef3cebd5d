import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createModel } from '../../../engine/architectures/createModel';
import type { PruneOperation, SurgeryPlan } from '../../../engine/contract/plan';
import { writeOnnx } from '../../../engine/formats/onnx/writeOnnx';
import { inspectModel } from '../../../engine/server/operations/inspect';
import { planEffects } from '../../../engine/server/operations/planEffects';

describe('groups of a prune operation in a plan', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-plan-'));
  const file = path.join(folder, 'model.onnx');
  let plan: SurgeryPlan;
  let operation: PruneOperation;

  before(async () => {
    await writeOnnx(createModel('resnet8', { input: [3, 12, 12], classes: 3, shortcut: 'conv', seed: 1 }), file);
    const { hash, groups } = await inspectModel(file);
    const half = groups.slice(0, 3).map(({ id, layers, channels }) => ({
      ...{ group: id, layers, channels },
      keep: Array.from({ length: channels / 2 }, (_, i) => 2 * i),
    }));
    operation = { kind: 'prune', id: 'prune-1', enabled: true, criterion: 'l1', groups: half };
    plan = { version: 1, base: { path: file, hash }, operations: [operation] };
  });
  after(() => rmSync(folder, { recursive: true }));

  const without = (group: string): SurgeryPlan => ({
    ...plan,
    operations: [{ ...operation, groups: operation.groups.map((g) => (g.group === group ? { ...g, enabled: false } : g)) }],
  });

  it('tell what they take away, each and together', async () => {
    const [effect] = await planEffects(file, plan);
    const [whole, left] = [(await inspectModel(file)).totals, (await inspectModel(file, plan)).totals];
    assert.equal(effect!.macs, whole.macs - left.macs);
    assert.equal(effect!.parameters, whole.parameters - left.parameters);
    for (const { group, macs, parameters } of effect!.groups) {
      const { totals } = await inspectModel(file, without(group));
      assert.deepEqual({ macs, parameters }, { macs: totals.macs - left.macs, parameters: totals.parameters - left.parameters });
    }
  });

  it('keep all their channels when they are switched off', async () => {
    const { group, channels } = operation.groups[1]!;
    const summary = await inspectModel(file, without(group));
    assert.equal(summary.groups.find((g) => g.id === group)!.channels, channels);
    assert.equal(summary.groups.find((g) => g.id === operation.groups[0]!.group)!.channels, operation.groups[0]!.keep.length);
    assert.equal((await planEffects(file, without(group)))[0]!.groups.length, 2);
  });
});
