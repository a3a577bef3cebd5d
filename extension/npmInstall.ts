import { spawn } from 'node:child_process';

/** Longest line that a progress message shows. */
const LINE = 120;

/**
 * Installs a package (a name with a version, or a tarball) into a folder's node_modules with npm.
 *
 * @param report told every line that npm and the package's own scripts print
 * @throws Error with the reason and what can be done, offline too
 */
export function npmInstall(what: string, folder: string, report: (line: string) => void, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const shell = process.platform === 'win32';
    const flags = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=http', '--foreground-scripts', '--ignore-scripts=false'];
    const child = spawn('npm', ['install', ...flags, '--prefix', folder, what], { cwd: folder, shell });
    let output = '';
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const line = output
        .trimEnd()
        .split(/[\r\n]+/)
        .at(-1);
      if (line) report(line.slice(0, LINE));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    const cancel = (): void => void child.kill();
    signal?.addEventListener('abort', cancel);
    child.once('error', () => reject(new Error(`npm was not found; install Node, or run "npm install ${what}" in ${folder} yourself`)));
    child.once('close', (code) => {
      signal?.removeEventListener('abort', cancel);
      if (code === 0) resolve();
      else reject(new Error(signal?.aborted ? 'The installation was cancelled' : installError(output, what, folder)));
    });
  });
}

const OFFLINE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network/i;

/** The reason in one or two sentences. */
function installError(output: string, what: string, folder: string): string {
  if (OFFLINE.test(output))
    return `${what} cannot be downloaded: there is no network, or it is blocked (npm's registry and storage.googleapis.com are needed). On a machine with a network run "npm install ${what}" and copy its node_modules folder into ${folder}.`;
  const reason = output.split('\n').find((line) => /npm (error|ERR!)/.test(line) && !/code|path|command/.test(line));
  return `${what} could not be installed: ${reason?.trim() ?? 'npm failed'}. "npm install ${what}" in ${folder} shows everything.`;
}
