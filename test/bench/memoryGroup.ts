import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const GROUPS = '/sys/fs/cgroup/memory';

export interface GroupOutcome {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
  /** Most that the kernel charged to the command, bytes. */
  readonly peak: number;
}

let groups = 0;

/**
 * Runs a command in a memory control group of its own (Linux, version 1): the kernel charges everything to it, its page cache included, and
 * kills what needs more than `bytes`. Needs the right to make control groups.
 */
export function runInGroup(command: readonly string[], bytes: number | undefined): Promise<GroupOutcome> {
  if (!existsSync(path.join(GROUPS, 'memory.limit_in_bytes')))
    throw new Error(`There are no memory control groups of version 1 in ${GROUPS}, so that no limit on the process can be enforced`);
  const group = path.join(GROUPS, `scalpel-${process.pid}-${groups++}`);
  mkdirSync(group);
  if (bytes !== undefined) writeFileSync(path.join(group, 'memory.limit_in_bytes'), String(bytes));
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      const peak = Number(readFileSync(path.join(group, 'memory.max_usage_in_bytes'), 'utf8'));
      rmdirSync(group);
      resolve({ code, output, errors, peak });
    });
  });
}
