import { SurgeryError } from '../graph/errors';
import type { Graph } from '../graph/graph';
import { elementCount } from '../graph/tensor';
import type { GraphBuilder } from '../ops/graphBuilder';
import { inferShapes } from '../ops/inferShapes';
import { type ExpandedRules, appendBackward, dependentsOf } from './backward';
import { ForwardPass } from './forwardPass';
import { type Loss, logitsOf, softmaxCrossEntropy } from './loss';
import { NamedEmitter } from './namedEmitter';
import type { StateSlot } from './optimiser';
import type { Perturbation, RandomInput, Site, SiteContext } from './perturbation';

/** What is common to every site of a graph. */
interface Batch {
  readonly x: string;
  readonly y: string;
}

/**
 * The forward and backward passes of one step. A perturbation that needs clean gradients makes two forward and two backward
 * passes: the first gives only the gradients of the sites' values, the second takes the perturbation as a constant.
 */
export class TrainingPasses {
  readonly statistics = new Map<string, string>();
  readonly randoms: RandomInput[] = [];
  readonly state: StateSlot[] = [];
  readonly reports = new Map<string, string>();
  private readonly perturbation: Perturbation | undefined;
  private readonly logits: string;
  private readonly classes: number;
  private readonly perturbed = new Map<string, SiteContext>();
  private readonly differentiated: ReadonlySet<string>;
  private readonly rules: ExpandedRules = new Map();
  private last: ForwardPass | undefined;

  /** @param wrt what the gradients will be taken of, besides the sites of a perturbation */
  constructor(
    private readonly builder: GraphBuilder,
    private readonly source: Graph,
    private readonly options: { readonly training: boolean; readonly perturbation?: Perturbation },
    private readonly batch: Batch,
    private readonly wrt: readonly string[],
  ) {
    this.logits = logitsOf(source);
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
    const gradients = appendBackward(this.builder, this.last?.nodes ?? [], seeds, [...this.wrt, ...observed], this.rules);
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
    const { builder, randoms, statistics, differentiated, rules } = this;
    return { builder, training: this.options.training, randoms, statistics, differentiated, rules };
  }

  private run(pass: ForwardPass): Loss & { readonly logits: string } {
    pass.start(this.batch.x);
    for (const node of this.source.nodes) pass.add(node);
    this.last = pass;
    const logits = pass.nameOf(this.logits);
    return { ...softmaxCrossEntropy(this.builder, logits, this.batch.y), logits };
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
