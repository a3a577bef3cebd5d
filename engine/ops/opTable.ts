import type { OpRecord } from './opRecord';

/** Every record, grouped by family in the file that holds it. */
const RECORDS: readonly OpRecord[] = [];

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
