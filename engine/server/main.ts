import { IPCMessageReader, IPCMessageWriter, type MessageConnection, ResponseError, createMessageConnection } from 'vscode-jsonrpc/node';
import { DEVICE_CHOICES, DEVICE_VARIABLE } from '../contract/devices';
import type { EngineRequests } from '../contract/protocol';
import { SurgeryError, type SurgeryErrorCode } from '../graph/errors';
import { type Handlers, createHandlers } from './handlers';
import { Jobs } from './jobs';
import { knownDevice, measureInBackground } from './operations/autoDevice';
import { calibrated } from './operations/calibration';
import { answerProbe } from './operations/probeDevice';
import { chooseDevice } from './operations/runtime';

/** JSON-RPC's range for errors that an application defines. */
const APPLICATION_ERROR = -32000;
const RETRYABLE: ReadonlySet<SurgeryErrorCode> = new Set(['runtime-failed', 'internal']);

/** The engine process: answers requests on its IPC channel until the parent goes away. */
function serve(): void {
  const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
  const jobs = new Jobs((progress) => void connection.sendNotification('job/progress', progress));
  const log = (level: 'info' | 'warn' | 'error', message: string): void =>
    void connection.sendNotification('engine/log', { level, message });
  const ready = chooseForEngine((message) => log('info', message));
  register(
    connection,
    ready,
    createHandlers(jobs, log, (event, params) => void connection.sendNotification(event, params)),
  );
  connection.onNotification('job/cancel', ({ job }: { job: string }) => jobs.cancel(job));
  connection.onClose(() => process.exit(0));
  process.once('disconnect', () => process.exit(0));
  connection.listen();
}

/** With `auto` nobody waits: requests are answered on the processor until it is known whether another device is faster. */
async function chooseForEngine(log: (message: string) => void): Promise<void> {
  const choice = DEVICE_CHOICES.find((known) => known === process.env[DEVICE_VARIABLE]) ?? 'auto';
  await chooseDevice(choice === 'auto' ? knownDevice(log, measureInBackground) : choice, log);
}

/** Requests are answered once the device is chosen. */
function register(connection: MessageConnection, ready: Promise<void>, handlers: Handlers): void {
  for (const method of Object.keys(handlers) as (keyof EngineRequests)[])
    connection.onRequest(method, async (params: unknown) => {
      try {
        await ready;
        return await handlers[method](params as never);
      } catch (error) {
        throw toResponseError(error);
      }
    });
}

function toResponseError(error: unknown): ResponseError<unknown> {
  const known =
    error instanceof SurgeryError ? error : new SurgeryError('internal', error instanceof Error ? error.message : String(error));
  const data = { code: known.code, message: known.message, details: known.details, retryable: RETRYABLE.has(known.code) };
  return new ResponseError(APPLICATION_ERROR, known.message, data);
}

void answerProbe(calibrated).then((probed) => {
  if (!probed) serve();
});
