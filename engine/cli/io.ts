import { SurgeryError } from '../graph/errors';

/** What a command may use to talk: the document goes to stdout, everything else to stderr. */
export interface Io {
  readonly signal: AbortSignal;
  log(message: string): void;
  progress(done: number, total: number, unit: string, message?: string): void;
}

/** What a command answers: a JSON document, and the same for people. */
export interface Answer {
  readonly document: unknown;
  readonly text: string;
}

const EXIT = { failed: 1, usage: 2, cancelled: 130 } as const;

/** Runs a command to its exit code (DESIGN 5.1). Ctrl-C cancels; a second one kills. */
export async function runCommand(options: { json?: boolean }, command: (io: Io) => Promise<Answer>): Promise<void> {
  const controller = new AbortController();
  const bar = new ProgressBar();
  process.once('SIGINT', () => controller.abort());
  const io: Io = {
    signal: controller.signal,
    log: (message) => bar.log(message),
    progress: (done, total, unit, message) => bar.update(done, total, unit, message),
  };
  try {
    const answer = await command(io);
    bar.clear();
    await write(options.json ? `${JSON.stringify(answer.document, replaceNonFinite)}\n` : `${answer.text}\n`);
  } catch (error) {
    bar.clear();
    process.exitCode = report(error);
  }
}

const write = (text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });

const replaceNonFinite = (_key: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? null : value);

function report(error: unknown): number {
  if (!(error instanceof SurgeryError)) {
    process.stderr.write(`scalpel: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.failed;
  }
  process.stderr.write(`scalpel: ${error.message}\n`);
  if (error.code === 'cancelled') return EXIT.cancelled;
  return error.code === 'option-invalid' ? EXIT.usage : EXIT.failed;
}

/** One line that is redrawn on a terminal; elsewhere a line for every tenth of the work. */
class ProgressBar {
  private readonly live = process.stderr.isTTY;
  private shown = false;
  private lastTenth = -1;

  update(done: number, total: number, unit: string, message = ''): void {
    const fraction = total > 0 ? Math.min(1, done / total) : 0;
    const text = `${message ? `${message} ` : ''}${done}/${total} ${unit}`;
    if (this.live) {
      const width = 28;
      const filled = Math.round(fraction * width);
      process.stderr.write(`\r\x1b[K[${'█'.repeat(filled)}${'·'.repeat(width - filled)}] ${text}`);
      this.shown = true;
      return;
    }
    const tenth = Math.floor(fraction * 10);
    if (tenth !== this.lastTenth) process.stderr.write(`${text}\n`);
    this.lastTenth = tenth;
  }

  log(message: string): void {
    this.clear();
    process.stderr.write(`${message}\n`);
  }

  clear(): void {
    if (this.shown) process.stderr.write('\r\x1b[K');
    this.shown = false;
  }
}
