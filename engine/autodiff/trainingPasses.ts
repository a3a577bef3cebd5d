import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import { type ExpandedRules, type ForwardNode, appendBackward, dependentsOf } from './backward';
import { type BlockedForward, type BlockedForwardOptions, BlockedPass, blockedForward } from './blocked/blockedForward';
import type { Encoding } from './encoding';
import { ForwardPass } from './forwardPass';
import { type Distillation, type Loss, distillationLoss, logitsOf, meanSquaredError, softmaxCrossEntropy } from './loss';
import { NamedEmitter } from '../ops/namedEmitter';
import type { StateSlot } from './optimiser';
import type { Perturbation, RandomInput, Site, SiteContext } from './perturbation';
import { type TrackedNorm, followStatistics } from './runningStatistics';

/** What is common to every site of a graph. */
interface Batch {
  readonly x: string;
  readonly y: string;
}

/** Input of the teacher's logits. */
export const TEACHER = 'teacher';

export interface PassesOptions {
  readonly training: boolean;
  readonly loss?: 'cross-entropy' | 'squared';
  readonly distillation?: Distillation;
  readonly perturbation?: Perturbation;
  /** Channels of a block; the plain layout when left out. */
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
  /** The change of layout, if there was one. */
  private pass: BlockedForward | undefined;

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
    this.feed(clean);
    const values = perturbation.sites.map((site) => site.value);
    const options = this.layoutOptions([clean.nameOf(this.logits)], values);
    if (options && new BlockedPass(this.builder, clean.nodes, options).hasConvolutions) return this.twoBlockedPasses(perturbation, clean);
    const logits = clean.nameOf(this.logits);
    const { gradient } = this.plainLoss(logits);
    const gradients = appendBackward(this.builder, clean.nodes, new Map([[logits, gradient]]), values, this.rules);
    return this.run(new ForwardPass(shared, { prefix: 'perturbed/', earlier: clean, perturb: this.perturbWith(perturbation, gradients) }));
  }

  /** Both passes in the blocked layout: the second is written down before the gradients are there that it takes. */
  private twoBlockedPasses(perturbation: Perturbation, clean: ForwardPass): Loss & { readonly logits: string } {
    const plain = this.builder;
    const given = new Map(
      perturbation.sites.map(({ value, layer }) => [value, plain.declare(`noise/${layer}/clean_gradient`, plain.shape(value))]),
    );
    const perturb = this.perturbWith(perturbation, given);
    const second = new ForwardPass(this.forwardState(), { prefix: 'perturbed/', earlier: clean, perturb });
    this.feed(second);
    const [cleanLogits, logits] = [clean.nameOf(this.logits), second.nameOf(this.logits)];
    const first = new Set(clean.nodes);
    const rest = second.nodes.filter((node) => !first.has(node));
    const options = this.layoutOptions([cleanLogits, logits], [...given.keys()], [...clean.nodes, ...rest]) as BlockedForwardOptions;
    const pass = new BlockedPass(plain, [...clean.nodes, ...rest], options);
    this.adopt(pass);
    pass.emit(clean.nodes);
    const { gradient } = softmaxCrossEntropy(pass.builder, pass.plainValue(cleanLogits), pass.plainValue(this.batch.y));
    const names = [...given.keys()].map((value) => pass.gradientName(value));
    const gradients = appendBackward(pass.builder, pass.nodes, new Map([[cleanLogits, gradient]]), names, this.rules);
    for (const { value, layer } of perturbation.sites) {
      const found = gradients.get(pass.gradientName(value));
      if (found === undefined) throw independent(layer);
      pass.give(given.get(value) ?? '', pass.plainGradient(value, found));
    }
    pass.emit(rest);
    pass.finish();
    return { ...this.lossOf(logits), logits };
  }

  /** Gradients of what they are wanted of; the perturbation sees those of the values it perturbed. */
  backward(seeds: ReadonlyMap<string, string>): Map<string, string> {
    const nameOf = (value: string): string => this.pass?.gradientName(value) ?? value;
    const gradients = appendBackward(this.builder, this.nodes, seeds, [...this.wrt, ...this.observed().map(nameOf)], this.rules);
    for (const [value, context] of this.perturbed) {
      const gradient = gradients.get(nameOf(value));
      const emitter = new NamedEmitter(this.builder, `noise/${context.site.layer}`);
      if (gradient !== undefined)
        this.perturbation?.observe?.({ ...context, emitter }, this.pass?.plainGradient(value, gradient) ?? gradient);
      gradients.delete(nameOf(value));
    }
    for (const slot of this.state) this.builder.output(slot.output);
    for (const value of this.reports.values()) this.builder.output(value);
    return gradients;
  }

  /** Values whose gradients the perturbation wants to see. */
  private observed(): string[] {
    return this.perturbation?.observe ? [...this.perturbed.keys()] : [];
  }

  private forwardState() {
    const { builder, randoms, norms, differentiated, rules } = this;
    return { builder, training: this.options.training, randoms, norms, differentiated, rules };
  }

  private run(pass: ForwardPass): Loss & { readonly logits: string } {
    this.feed(pass);
    return this.finish(pass);
  }

  private feed(pass: ForwardPass): void {
    pass.start(this.batch.x);
    for (const node of this.source.nodes) pass.add(node);
    this.nodes = pass.nodes;
  }

  private finish(pass: ForwardPass): Loss & { readonly logits: string } {
    const logits = pass.nameOf(this.logits);
    const options = this.perturbation?.needsCleanGradients ? undefined : this.layoutOptions([logits], this.observed());
    const blocked = options && blockedForward(this.builder, this.nodes, options);
    if (blocked) this.adopt(blocked);
    return { ...this.lossOf(logits), logits };
  }

  private lossOf(logits: string): Loss {
    const { builder, options, batch } = this;
    if (!options.distillation) return this.plainLoss(logits);
    return distillationLoss(builder, logits, batch.y, builder.input(TEACHER, builder.shape(logits)), options.distillation);
  }

  private plainLoss(logits: string): Loss {
    const loss = this.options.loss === 'squared' ? meanSquaredError : softmaxCrossEntropy;
    return loss(this.builder, logits, this.batch.y);
  }

  /** How the nodes are laid out in blocks; undefined where they are not. */
  private layoutOptions(kept: readonly string[], observed: readonly string[], nodes = this.nodes): BlockedForwardOptions | undefined {
    const { block = 1 } = this.options;
    if (block <= 1) return undefined;
    const wanted = dependentsOf(nodes, [...this.wrt, ...observed]);
    return { block, wanted, kept: new Set(kept), observed: new Set(observed), rules: this.rules };
  }

  private adopt(pass: BlockedForward): void {
    this.builder = pass.builder;
    this.nodes = pass.nodes;
    this.encodings = pass.encodings;
    this.pass = pass;
  }

  /** New running statistics by initializer. */
  statistics(): Map<string, string> {
    return followStatistics(this.builder, this.norms, (value) => this.pass?.renamed(value) ?? value);
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
    if (this.perturbation?.needsCleanGradients && cleanGradient === undefined) throw independent(site.layer);
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
      setState: (name, output) => void state.push({ input: `state/${named(name)}`, output, dims: this.builder.shape(output) }),
      report: (output) => void this.reports.set(site.layer, output),
    };
  }
}

const independent = (layer: string): SurgeryError =>
  new SurgeryError('option-invalid', `Layer ${layer} cannot take noise: the loss does not depend on its output`);

function classesOf(source: Graph, logits: string): number {
  const shape = inferShapes(source).types.get(logits)?.shape?.slice(1);
  if (!shape?.every((d) => typeof d === 'number'))
    throw new SurgeryError('shape-mismatch', `Output ${logits} has no fixed number of classes; noise while training needs one`);
  return elementCount(shape);
}
