/**
 * Writes a plan into a source file, as "Apply Plan to Source" does, and prints the edited text.
 *
 *     npx tsx test/bench/applyPlanToSource.ts SOURCE PLAN          (after a build)
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DecomposeOperation } from '../../engine/contract/plan';
import { costOfChoice, listReplaceable } from '../../engine/server/operations/decompose';
import { inspectModel } from '../../engine/server/operations/inspect';
import { readPlan } from '../../engine/surgery/plan';
import { pathOf } from '../../extension/source/blockTermConstructors';
import { NetworkReader } from '../../extension/source/networkReader';
import { planEdits } from '../../extension/source/planEdits';
import { applyEdits } from '../../extension/source/sourceModel';
import { Template } from '../../extension/source/templateUnits';

async function main([sourceFile = '', planFile = '']: readonly string[]): Promise<void> {
  const dist = path.join(__dirname, '../../dist');
  const [source, plan] = [readFileSync(sourceFile, 'utf8'), await readPlan(planFile)];
  const file = plan.base.path;
  const { layers } = await listReplaceable(file);
  const decomposed = plan.operations.filter((o): o is DecomposeOperation => o.kind === 'decompose');
  const forms = await Promise.all(
    decomposed.map(async ({ layer, blockTerm }) => {
      const found = layers.find((l) => l.layer === layer);
      if (!found) throw new Error(`${file} has no layer ${layer}`);
      const cost = await costOfChoice({ path: file, layer, choice: blockTerm });
      const { inputs, outputs, gates } = found;
      const { inputModes, outputModes, ranks, blocks } = found.op === 'Conv' ? blockTerm : cost;
      return { layer, inputs, outputs, gates, inputModes, outputModes, ranks, blocks, path: pathOf(cost) };
    }),
  );
  const reader = await NetworkReader.load(dist);
  const [before, after] = [await inspectModel(file), await inspectModel(file, plan)];
  const { edits } = planEdits(source, (text) => reader.read('python', text), {
    before,
    after,
    forms,
    template: Template.load(dist, 'pytorch.py'),
  });
  process.stdout.write(applyEdits(source, edits));
  process.exit(0);
}

void main(process.argv.slice(2));
