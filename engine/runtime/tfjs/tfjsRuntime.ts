import { parseOnnx } from '../../formats/onnx/readOnnx';
import { SurgeryError } from '../../graph/errors';
import type { Graph } from '../../graph/graph';
import type { TfjsModule } from '../../ops/opRecord';
import type { CompileOptions, Device, MemoryOptions, Program, Runtime } from '../runtime';
import { type TensorFlowInstallation, findTensorFlow, loadTensorFlow } from './findTensorFlow';
import { ScheduledTfjsProgram } from './scheduledTfjsProgram';
import { TfjsProgram } from './tfjsProgram';

/** tfjs with whatever backend is installed (DESIGN section 3, second runtime). */
export class TfjsRuntime implements Runtime {
  readonly name: string;
  readonly devices: readonly Device[];
  readonly #ownMemory: boolean;

  constructor(
    readonly tf: TfjsModule,
    { package: name, version, hardware }: Omit<TensorFlowInstallation, 'folder'>,
  ) {
    this.name = `${name} ${version}`;
    this.#ownMemory = name.endsWith('-gpu');
    this.devices = [{ id: 'tensorflow', description: `${name} ${version} (${hardware})` }];
  }

  compile(graph: Graph, options: CompileOptions & { readonly memory: MemoryOptions }): Promise<ScheduledTfjsProgram>;
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  async compile(graph: Graph, options: CompileOptions = {}): Promise<Program> {
    const { memory, carry, profile } = options;
    if (memory) return ScheduledTfjsProgram.create(this.tf, graph, { memory, carry, ownMemory: this.#ownMemory });
    return Promise.resolve(new TfjsProgram(this.tf, graph, carry, profile));
  }

  async compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label = 'The model'): Promise<Program> {
    return this.compile({ ...parseOnnx(bytes, label), name: label }, options);
  }
}

/**
 * Opens the best installation of tfjs that starts.
 * @throws SurgeryError 'runtime-failed' when none is installed or none starts, saying how to get one.
 */
export async function openTensorFlow(installations: readonly TensorFlowInstallation[] = findTensorFlow()): Promise<TfjsRuntime> {
  const refusals: string[] = [];
  for (const installation of installations)
    try {
      return new TfjsRuntime(await loadTensorFlow(installation), installation);
    } catch (error) {
      refusals.push(`${installation.package} in ${installation.folder}: ${(error as Error).message.split('\n')[0]}`);
    }
  const advice = 'run "Scalpel: Install TensorFlow Runtime" in VS Code, or npm install @tensorflow/tfjs-node-gpu in the working folder';
  throw new SurgeryError(
    'runtime-failed',
    refusals.length > 0 ? `TensorFlow does not start (${refusals.join('; ')}); ${advice}` : `TensorFlow is not installed; ${advice}`,
  );
}
