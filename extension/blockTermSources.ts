import type { EngineClient } from './engineClient';
import type { ModelDocument } from './modelDocument';
import { type RankResults, planBefore } from './rankResults';
import { type BlockTermForm, pathOf } from './source/blockTermConstructors';
import type { SourceNetwork } from './source/sourceModel';
import { Template } from './source/templateUnits';

/** What the source of block-term layers is made of: the plan's forms, and the classes to be written. */
export class BlockTermSources {
  /** @param folder holds the templates */
  constructor(
    private readonly folder: string,
    private readonly engine: EngineClient,
    private readonly results: RankResults,
  ) {}

  /** The form of every layer that the plan decomposes, with the order in which the engine contracts it. */
  async formsOf(document: ModelDocument): Promise<BlockTermForm[]> {
    const layers = (await this.results.layers(document)).filter((l) => l.planned);
    return Promise.all(
      layers.map(async ({ layer, op, inputs, outputs, gates, planned }) => {
        if (!planned) throw new Error(`${layer} is not decomposed`);
        const plan = planBefore(document, layer);
        const cost = await this.engine.request('ranks/cost', { path: document.basePath, plan, layer, choice: planned });
        const shape = op === 'Conv' ? planned : cost;
        const { inputModes, outputModes, ranks, blocks } = shape;
        return { layer, inputs, outputs, gates, inputModes, outputModes, ranks, blocks, path: pathOf(cost) };
      }),
    );
  }

  templateFor(framework: SourceNetwork['framework'], languageId: string): Template {
    const tfjs = languageId.startsWith('typescript') ? 'tfjs.ts' : 'tfjs.js';
    return Template.load(this.folder, { pytorch: 'pytorch.py', keras: 'keras.py', tfjs }[framework] as 'pytorch.py');
  }
}
