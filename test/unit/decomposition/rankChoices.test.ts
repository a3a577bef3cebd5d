import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createModel } from '../../../engine/architectures/createModel';
import type { LayerRanks, RankCandidate } from '../../../engine/contract/decomposition';
import { bestChoices, choiceOf, ownChoice, sameChoice } from '../../../engine/contract/rankChoices';
import { isMadeUp, moduleOf } from '../../../engine/decomposition/weightNames';
import { readSafetensors } from '../../../engine/formats/safetensors/safetensors';
import { writeOnnx } from '../../../engine/formats/onnx/writeOnnx';
import {
  costOfChoice,
  decomposeModel,
  fitChoice,
  listReplaceable,
  planDecompose,
  rankModel,
} from '../../../engine/server/operations/decompose';

describe('choices of ranks', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'scalpel-ranks-'));
  const [lstm, cnn] = [path.join(folder, 'lstm.onnx'), path.join(folder, 'cnn.onnx')];
  before(async () => {
    await writeOnnx(createModel('lstm', { input: [4, 12], classes: 3, hidden: 8, seed: 1 }), lstm);
    await writeOnnx(createModel('small-cnn', { input: [3, 8, 8], classes: 3, seed: 1 }), cnn);
  });
  after(() => rmSync(folder, { recursive: true }));

  const partial: LayerRanks[] = [];
  let ranks: LayerRanks;

  it('are told while they are looked for, each list one longer than the one before', async () => {
    const found = await rankModel(lstm, { layer: 'lstm' }, { onPartial: (so) => partial.push(so) });
    ranks = found.layers[0]!;
    assert.deepEqual(
      [...partial, ranks].map((r) => r.candidates.length - partial[0]!.candidates.length),
      [...partial, ranks].map((_, i) => i),
    );
    assert.ok(partial.every((r) => r.verdict === '') && ranks.verdict !== '');
  });

  it('a truncated SVD is written as the block-term form of modes 1 x I and J x 1, with the same error', async () => {
    const svd = ranks.candidates.find((c) => c.form === 'svd')!;
    const choice = choiceOf(ranks, svd)!;
    const fitted = await fitChoice({ path: lstm, layer: 'lstm', choice });
    assert.ok(Math.abs(fitted.error - svd.error) < 1e-4, `${fitted.error} and ${svd.error}`);
    assert.equal(fitted.parameters, svd.parameters);
    assert.equal(choiceOf(ranks, { ...svd, form: 'tensor-train' }), undefined);
  });

  it('the best have the least error at their size', () => {
    const candidate = (parameters: number, error: number, form: RankCandidate['form'] = 'block-term'): RankCandidate => ({ ...ranks.candidates[0]!, form, parameters, error }); // prettier-ignore
    const [half, fourth, train] = [candidate(150, 0.2), candidate(90, 0.4), candidate(90, 0.1, 'tensor-train')];
    const best = bestChoices({ ...ranks, denseParameters: 400, candidates: [half, fourth, train, candidate(95, 0.5)] });
    assert.deepEqual(best, [
      { target: 2, ratio: 400 / 150, candidate: half },
      { target: 4, ratio: 400 / 90, candidate: fourth },
    ]);
  });

  it('the cost of a shape counts the rows of the layer, folds gates and says when the shape is too small', async () => {
    const choice = ownChoice([3, 4], [2, 4], [2], 2);
    assert.ok(sameChoice(choice, ownChoice([3, 4], [2, 4], [2, 2], 2)));
    const cost = await costOfChoice({ path: lstm, layer: 'lstm', choice, batch: 5 });
    assert.deepEqual(cost.outputModes, [8, 4]);
    assert.deepEqual(
      [cost.parameters, cost.denseParameters, cost.denseMacs],
      [2 * (3 * 8 * 2 + 4 * 4 * 2 + 4), 12 * 32, 5 * 4 * (12 * 32 + 8 * 32)],
    );
    await assert.rejects(
      costOfChoice({ path: lstm, layer: 'lstm', choice: ownChoice([3, 3], [2, 4], [2], 2) }),
      /too small for layer lstm/,
    );
  });

  it('the cost of a convolution is that of its three products', async () => {
    const conv = (await listReplaceable(cnn)).layers.find((l) => l.op === 'Conv')!;
    const cost = await costOfChoice({ path: cnn, layer: conv.layer, choice: ownChoice([conv.inputs], [conv.outputs], [2, 3], 2) });
    const parameters = 2 * (2 * conv.inputs + 3 * conv.outputs + 2 * 3 * 9);
    assert.deepEqual([cost.parameters, cost.macs], [parameters, 8 * 8 * parameters]);
  });

  it('a plan decomposes again from the original weight', async () => {
    const [rough, fine] = [ownChoice([3, 4], [2, 4], [1], 1), ownChoice([3, 4], [2, 4], [6], 2)];
    const first = await planDecompose(lstm, undefined, 'lstm', rough);
    const second = await planDecompose(lstm, first.plan, 'lstm', fine, {}, 4);
    const direct = await planDecompose(lstm, undefined, 'lstm', fine);
    assert.equal(second.error, direct.error);
    assert.ok(second.error < first.error);
    assert.equal(second.plan.operations.length, 1);
  });

  it('weights get the names that the layers in source have', async () => {
    const [output, weights] = [path.join(folder, 'small.onnx'), path.join(folder, 'small.safetensors')];
    await decomposeModel(lstm, { layer: 'lstm', inputModes: [3, 4], outputModes: [2, 4], rank: [2], blocks: 2, output, weights });
    const names = [...readSafetensors(weights).keys()].filter((name) => name.startsWith('lstm'));
    assert.deepEqual(names.sort(), ['lstm.B', 'lstm.R', 'lstm.core', 'lstm.factor1', 'lstm.factor2']);
  });

  it('a name that the exporter made up is replaced by the scope of the node', () => {
    const node = (name: string) => ({ name, op: 'MatMul', domain: '', inputs: [], outputs: [], attributes: new Map() });
    assert.equal(moduleOf(node('/encoder/encoder.0/lstm/LSTM'), 'onnx::LSTM_85'), 'encoder.0.lstm');
    assert.equal(moduleOf(node('MatMul_3'), 'onnx::MatMul_12'), 'MatMul_3');
    assert.equal(moduleOf(node('/fc/Gemm'), 'module.fc.weight'), 'module.fc');
    assert.ok(isMadeUp('onnx::LSTM_85') && !isMadeUp('fc.weight'));
  });
});
