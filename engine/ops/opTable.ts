import { activationRecords } from './activations';
import { arithmeticRecords } from './arithmetic';
import { batchNormalization } from './batchNormalization';
import { comparisonRecords } from './comparison';
import { conv } from './conv';
import { convTranspose } from './convTranspose';
import { eyeLike } from './eyeLike';
import { fusedMatMul, gemm, matMul } from './gemm';
import { localResponse } from './localResponse';
import { movementRecords } from './movement';
import { nchwcRecords } from './nchwc';
import { normalizationRecords } from './normalization';
import type { OpRecord } from './opRecord';
import { poolingRecords } from './pooling';
import { recurrentRecords } from './recurrent';
import { reductionRecords } from './reduction';
import { shapeRecords } from './shape';

/** Every record, grouped by family in the file that holds it. */
const RECORDS: readonly OpRecord[] = [
  conv,
  convTranspose,
  gemm,
  matMul,
  fusedMatMul,
  batchNormalization,
  ...normalizationRecords,
  ...recurrentRecords,
  ...poolingRecords,
  ...activationRecords,
  ...arithmeticRecords,
  ...comparisonRecords,
  ...reductionRecords,
  ...shapeRecords,
  eyeLike,
  localResponse,
  ...movementRecords,
  ...nchwcRecords,
];

const byName = new Map<string, OpRecord[]>();
for (const record of RECORDS) {
  const key = `${record.domain}:${record.op}`;
  byName.set(key, [...(byName.get(key) ?? []), record]);
}

/** The record whose opset range holds `opset`; undefined for an operator Scalpel does not know. */
export function lookupOp(op: string, domain: string, opset: number): OpRecord | undefined {
  const normal = domain === 'ai.onnx' ? '' : domain;
  return byName.get(`${normal}:${op}`)?.find(({ opsets: [first, last] }) => opset >= first && opset <= last);
}

export const allRecords = (): readonly OpRecord[] => RECORDS;
