import type { MemoryProgram, Storage } from './program';

/** The program with a workspace of `bytes[i]` for operation `i`, where that is not 0. */
export function withWorkspaces(program: MemoryProgram, bytes: readonly number[]): MemoryProgram {
  const storages: Storage[] = [...program.storages];
  const operations = program.operations.map((operation, i) => {
    const size = bytes[i] ?? 0;
    if (size === 0) return operation;
    const { name, layer } = operation;
    const workspace = storages.push({ name: `workspace of ${name}`, bytes: size, kind: 'workspace', layer, pinned: false }) - 1;
    return { ...operation, workspace };
  });
  return { ...program, storages, operations };
}
