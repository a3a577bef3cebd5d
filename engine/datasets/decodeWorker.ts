/** The script of a thread that decodes pictures into shared memory; see decodeWorkers.ts. */
import { parentPort } from 'node:worker_threads';
import { SurgeryError } from '../graph/errors';
import { elementCount } from '../graph/tensor';
import type { DecodeAnswer, DecodeMessage, DecodeSetup, DecodeTask } from './decodeWorkers';
import { Normaliser } from './normaliser';
import { readPictures } from './picture';

/** Fills the batches of one iteration. */
class BatchFiller {
  private readonly normaliser: Normaliser;
  private readonly size: number;
  private readonly batches: readonly Float32Array[];

  constructor(private readonly setup: DecodeSetup) {
    this.normaliser = new Normaliser(setup.form, setup.scaling);
    this.size = elementCount(setup.form.sampleShape);
    this.batches = setup.slots.map((memory) => new Float32Array(memory));
  }

  fill({ slot, samples }: DecodeTask): DecodeAnswer {
    for (const { position, files, placement } of samples)
      try {
        const sample = readPictures(files, this.setup.pictures);
        this.normaliser.write(sample, this.batches[slot] as Float32Array, position * this.size, placement);
      } catch (error) {
        const { code, message, details } =
          error instanceof SurgeryError ? error : new SurgeryError('internal', `${files.join(', ')}: ${String(error)}`);
        return { failed: { position, error: { code, message, details } } };
      }
    return {};
  }
}

const fillers = new Map<number, BatchFiller>();

parentPort?.on('message', (message: DecodeMessage) => {
  if ('setup' in message) fillers.set(message.use, new BatchFiller(message.setup));
  else if ('end' in message) fillers.delete(message.use);
  else parentPort?.postMessage(fillers.get(message.use)?.fill(message.task) ?? {});
});
