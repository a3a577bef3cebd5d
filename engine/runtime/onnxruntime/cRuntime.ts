import os from 'node:os';
import path from 'node:path';
import type { Graph } from '../../graph/graph';
import type { CompileOptions, Device, Runtime } from '../runtime';
import { CProgram } from './cProgram';
import { encodeOnnx } from '../../formats/onnx/encodeOnnx';
import { processorDevice } from './devices';
import { openEnvironment, type Environment } from './environment';
import { Session } from './session';

/** onnxruntime through its C API: no copies, runs off the calling thread, cancel. */
export class CRuntime implements Runtime {
  readonly name: string;
  readonly devices: readonly Device[] = [processorDevice()];
  readonly #environment: Environment;

  /** @throws SurgeryError 'runtime-failed' when the platform has no library. */
  constructor() {
    this.#environment = openEnvironment();
    this.name = `onnxruntime ${this.#environment.library.version}`;
  }

  async compile(graph: Graph, options: CompileOptions = {}): Promise<CProgram> {
    return this.compileBytes(encodeOnnx(graph), options, graph.name);
  }

  async compileBytes(bytes: Uint8Array, options: CompileOptions = {}, label = 'The model'): Promise<CProgram> {
    const prefix = options.profile ? path.join(os.tmpdir(), `scalpel-profile-${process.pid}`) : undefined;
    const session = await Session.create(this.#environment, bytes, label, options, prefix);
    return new CProgram(this.#environment, session, label, options.profile);
  }
}
