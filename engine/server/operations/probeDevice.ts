import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import { SurgeryError } from '../../graph/errors';
import { GraphBuilder } from '../../ops/graphBuilder';
import { CRuntime } from '../../runtime/onnxruntime/cRuntime';
import { float32 } from '../../graph/tensor';

/** Set in the environment of a process that is to try a device and nothing else. */
export const PROBE_VARIABLE = 'SCALPEL_PROBE';

/**
 * Whether WebGPU works here, tried in a process of its own: a broken driver takes the process along that loads it.
 * @throws SurgeryError 'runtime-failed' with the reason.
 */
export async function probeWebGpu(): Promise<void> {
  const script = process.argv[1] ?? '';
  const ran = promisify(execFile)(process.execPath, [...process.execArgv, script], {
    env: { ...process.env, [PROBE_VARIABLE]: 'webgpu', ELECTRON_RUN_AS_NODE: '1' },
    timeout: 60_000,
  });
  try {
    await ran;
  } catch (error) {
    const { stderr = '', signal } = error as { stderr?: string; signal?: string };
    const reason = /PROBE: (.*)/.exec(stderr)?.[1] ?? (signal ? `its driver ended the process (${signal})` : 'its driver failed');
    throw new SurgeryError('runtime-failed', `WebGPU does not work here: ${reason}`);
  }
}

/**
 * What a process does that was started to try devices: ends with 0 where a product on WebGPU comes out right, or where `calibrate` succeeds.
 * Returns false when nothing was asked for.
 */
export async function answerProbe(calibrate: () => Promise<unknown>): Promise<boolean> {
  const asked = process.env[PROBE_VARIABLE];
  if (asked !== 'webgpu' && asked !== 'calibrate') return false;
  try {
    if (asked === 'calibrate') {
      // What this process starts has questions of its own.
      process.env[PROBE_VARIABLE] = '';
      os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL);
      await calibrate();
    } else await tryProduct();
    process.exit(0);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(
      `\nPROBE: ${/adapter/i.test(message) ? 'no GPU with a Vulkan, Metal or Direct3D 12 driver was found' : message}\n`,
    );
    process.exit(1);
  }
}

async function tryProduct(): Promise<void> {
  const builder = new GraphBuilder('probe');
  const x = builder.input('x', [2, 2]);
  builder.output(builder.emit('MatMul', [x, builder.floats([2, 2], [1, 2, 3, 4])]), 'y');
  const program = await new CRuntime().compile(builder.graph, { device: 'webgpu' });
  const result = await program.run(new Map([['x', float32([2, 2], [1, 0, 0, 1])]]));
  if (String(result.get('y')?.data) !== '1,2,3,4') throw new Error(`1,2,3,4 came out as ${String(result.get('y')?.data)}`);
}
