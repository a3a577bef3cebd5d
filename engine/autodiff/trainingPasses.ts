import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import { type ExpandedRules, type ForwardNode, appendBackward, dependentsOf } from './backward';
import { blockedForward } from './blocked/blockedForward';
import type { Encoding } from './encoding';
import { ForwardPass } from './forwardPass';
import { type Loss, logitsOf, meanSquaredError, softmaxCrossEntropy } from './loss';
import { NamedEmitter } from './namedEmitter';
import type { StateSlot } from './optimiser';
import type { Perturbation, RandomInput, Site, SiteContext } from './perturbation';
import { type TrackedNorm, followStatistics } from './runningStatistics';

/** What is common to every site of a graph. */
interface Batch {
  readonly x: string;
  readonly y: string;
}

export interface PassesOptions {
  readonly training: boolean;
  readonly loss?: 'cross-entropy' | 'squared';
  readonly perturbation?: Perturbation;
  /** Channels of a block, for training without perturbation; the plain layout when left out. */
  readonly block?: number;
}

/**
 * The forward and backward passes of one step. A perturbation that needs clean gradients makes two forward and two backward
 * passes: the first gives only the gradients of the sites' values, the second takes the perturbation as a constant.
 */
export class TrainingPasses {
  readonly randoms: RandomInput[] = [];
  readonly state: StateSlot[] = [];
  readonly reports = new Map<string, string>();
  private readonly perturbation: Perturbation | undefined;
  private readonly logits: string;
  private readonly classes: number;
  private readonly perturbed = new Map<string, SiteContext>();
  private readonly differentiated: ReadonlySet<string>;
  private readonly rules: ExpandedRules = new Map();
  private readonly norms: TrackedNorm[] = [];
  private nodes: readonly ForwardNode[] = [];
  /** Inputs that lie in another form than the file's. */
  encodings: ReadonlyMap<string, Encoding> = new Map();
  private renamed = (value: string): string => value;

  /** @param wrt what the gradients will be taken of, besides the sites of a perturbation */
  constructor(
    /** The graph so far; a change of layout starts another. */
    public builder: GraphBuilder,
    private readonly source: Graph,
    private readonly options: PassesOptions,
    private readonly batch: Batch,
    private readonly wrt: readonly string[],
  ) {
    this.logits = options.loss === 'squared' ? (source.outputs[0]?.name ?? '') : logitsOf(source);
    this.perturbation = options.training ? options.perturbation : undefined;
    const sites = this.perturbation?.sites.map((site) => site.value) ?? [];
    this.differentiated = dependentsOf(source.nodes, [...wrt, ...sites]);
    this.classes = this.perturbation ? classesOf(source, this.logits) : 0;
  }

  forward(): Loss & { readonly logits: string } {
    const { perturbation } = this;
    if (!perturbation) return this.run(new ForwardPass(this.forwardState()));
    const shared = this.forwardState();
    if (!perturbation.needsCleanGradients) return this.run(new ForwardPass(shared, { perturb: this.perturbWith(perturbation, new Map()) }));
    const clean = new ForwardPass(shared);
    const { logits, gradient } = this.run(clean);
    const values = perturbation.sites.map((site) => site.value);
    const gradients = appendBackward(this.builder, clean.nodes, new Map([[logits, gradient]]), values, this.rules);
    return this.run(new ForwardPass(shared, { prefix: 'perturbed/', earlier: clean, perturb: this.perturbWith(perturbation, gradients) }));
  }

  /** Gradients of what they are wanted of; the perturbation sees those of the values it perturbed. */
  backward(seeds: ReadonlyMap<string, string>): Map<string, string> {
    const observed = this.perturbation?.observe ? [...this.perturbed.keys()] : [];
    const gradients = appendBackward(this.builder, this.nodes, seeds, [...this.wrt, ...observed], this.rules);
    for (const [value, context] of this.perturbed) {
      const gradient = gradients.get(value);
      if (gradient !== undefined) this.perturbation?.observe?.(context, gradient);
      gradients.delete(value);
    }
    for (const slot of this.state) this.builder.output(slot.output);
    for (const value of this.reports.values()) this.builder.output(value);
    return gradients;
  }

  private forwardState() {
    const { builder, randoms, norms, differentiated, rules } = this;
    return { builder, training: this.options.training, randoms, norms, differentiated, rules };
  }

  private run(pass: ForwardPass): Loss & { readonly logits: string } {
    pass.start(this.batch.x);
    for (const node of this.source.nodes) pass.add(node);
    const logits = pass.nameOf(this.logits);
    this.nodes = pass.nodes;
    if (this.options.training && !this.perturbation) this.layOut(logits);
    const loss = this.options.loss === 'squared' ? meanSquaredError : softmaxCrossEntropy;
    return { ...loss(this.builder, logits, this.batch.y), logits };
  }

  private layOut(logits: string): void {
    const { block = 1 } = this.options;
    if (block <= 1) return;
    const wanted = dependentsOf(this.nodes, this.wrt);
    const pass = blockedForward(this.builder, this.nodes, { block, wanted, kept: new Set([logits]), rules: this.rules });
    if (!pass) return;
    this.builder = pass.builder;
    this.nodes = pass.nodes;
    this.encodings = pass.encodings;
    this.renamed = (value) => pass.renamed(value);
  }

  /** New running statistics by initializer. */
  statistics(): Map<string, string> {
    return followStatistics(this.builder, this.norms, this.renamed);
  }

  private perturbWith(perturbation: Perturbation, cleanGradients: ReadonlyMap<string, string>) {
    const sites = new Map(perturbation.sites.map((site) => [site.value, site]));
    return (value: string, name: string): string | undefined => {
      const site = sites.get(value);
      if (!site) return undefined;
      const context = this.contextOf(site, name, cleanGradients.get(value));
      const perturbed = perturbation.perturb(context);
      this.perturbed.set(perturbed, context);
      return perturbed;
    };
  }

  private contextOf(site: Site, value: string, cleanGradient: string | undefined): SiteContext {
    const { builder, state } = this;
    const named = (name: string): string => `noise/${site.layer}/${name}`;
    if (this.perturbation?.needsCleanGradients && cleanGradient === undefined)
      throw new SurgeryError('option-invalid', `Layer ${site.layer} cannot take noise: the loss does not depend on its output`);
    return {
      emitter: new NamedEmitter(builder, `noise/${site.layer}`),
      site,
      value,
      labels: this.batch.y,
      classes: this.classes,
      cleanGradient,
      random: (name, dims, distribution) => {
        const input = builder.input(named(name), dims);
        this.randoms.push({ input, dims, distribution });
        return input;
      },
      state: (name, dims) => builder.input(`state/${named(name)}`, dims),
      stateOf: (name) => `state/${named(name)}`,
      setState: (name, output) => void state.push({ input: `state/${named(name)}`, output, dims: builder.shape(output) }),
      report: (output) => void this.reports.set(site.layer, output),
    };
  }
}

function classesOf(source: Graph, logits: string): number {
  const shape = inferShapes(source).types.get(logits)?.shape?.slice(1);
  if (!shape?.every((d) => typeof d === 'number'))
    throw new SurgeryError('shape-mismatch', `Output ${logits} has no fixed number of classes; noise while training needs one`);
  return elementCount(shape);
}
