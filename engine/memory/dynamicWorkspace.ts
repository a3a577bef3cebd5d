import type { ConvolutionForm, MemoryPolicy } from '../contract/memory';
import type { CostTable } from '../ops/costTable';
import { FormChooser, type FormDecision, type FormOption, decisionKey, fastestWithin, leanestOf } from './formOptions';
import { extraSeconds, planMemory } from './plan';
import type { MemoryProgram } from './program';
import type { Schedule } from './schedule';
import { BudgetTooSmall } from './scheduler';
import { roomOf } from './workspaceRoom';

/** Parts of the bytes left at a step that a workspace may take, tried until one fits: a pool has gaps between what it holds. */
const SHARES = [1, 0.8];

/** A training graph whose convolutions' gradients are computed in chosen ways. */
interface Variant<T> {
  readonly built: T;
  readonly decisions: ReadonlyMap<string, FormDecision>;
  readonly chosen: ReadonlyMap<string, FormOption>;
  /** Of all gradients that could be computed in another way. */
  readonly seconds: number;
}

export interface Fitted<T> {
  readonly built: T;
  /** Missing where nothing fits. */
  readonly schedule?: Schedule;
  /** What the forms take beyond the fastest ones. */
  readonly slowerSeconds: number;
  /** Of convolutions whose gradients can be computed in several ways. */
  readonly forms: readonly ConvolutionForm[];
}

interface Planned<T> {
  readonly variant: Variant<T>;
  readonly schedule: Schedule;
}

export interface WorkspaceOptions {
  readonly costs?: CostTable;
  readonly macsPerSecond?: number;
}

/**
 * SuperNeurons' dynamic convolution workspace: tensors come first, and what they leave of the budget at a convolution's step decides in
 * which way its gradients are computed. A way is a formulation as ordinary operators; its workspace is what they hold in between.
 */
export class DynamicWorkspace<T extends { readonly program: MemoryProgram }> {
  private readonly known = new Map<string, readonly FormOption[]>();
  private usual_: Variant<T> | undefined;
  private leanest_: Variant<T> | undefined;

  /** @param build a training step whose formulations are chosen by the costs given */
  constructor(
    private readonly build: (costs: CostTable) => T,
    private readonly options: WorkspaceOptions = {},
  ) {}

  /** With the fastest, which need not fit. */
  get usual(): T {
    return this.usualVariant.built;
  }

  /** With those that need the least beside the tensors: what sets the floor. */
  get leanest(): T {
    return this.leanestVariant.built;
  }

  /** Without a budget the usual formulations; else whatever takes the least time, with what its schedule adds. */
  within(policy: MemoryPolicy, budget?: number): Fitted<T> {
    const { usualVariant: usual } = this;
    if (budget === undefined) return fittedOf({ variant: usual, schedule: planMemory(usual.built.program, policy) }, usual);
    const planned = this.cheapest(policy, budget);
    return planned ? fittedOf(planned, usual, budget) : { built: this.leanest, slowerSeconds: 0, forms: [] };
  }

  private cheapest(policy: MemoryPolicy, budget: number): Planned<T> | undefined {
    const usual = attempt(this.usualVariant, policy, budget);
    if (usual && extraSeconds(usual.schedule) === 0) return usual;
    const all = [...(usual ? [usual] : []), ...this.fitting(policy, budget)];
    return all.reduce<Planned<T> | undefined>((a, b) => (a && totalSeconds(a) <= totalSeconds(b) ? a : b), undefined);
  }

  /** The fastest formulations that fit into what the leanest ones leave, and then those. */
  private *fitting(policy: MemoryPolicy, budget: number): Iterable<Planned<T>> {
    const { leanestVariant, usualVariant } = this;
    if (leanestVariant === usualVariant) return;
    const leanest = attempt(leanestVariant, policy, budget);
    if (!leanest) return;
    const room = roomOf(leanestVariant.built.program, leanest.schedule, budget);
    for (const share of SHARES) {
      const variant = this.variant((decision) => fastestWithin(decision.options, share * (room.get(decision.node) ?? 0)));
      const planned = attempt(variant, policy, budget);
      if (!planned) continue;
      yield planned;
      break;
    }
    yield leanest;
  }

  private get usualVariant(): Variant<T> {
    return (this.usual_ ??= this.variant(({ options: [first] }) => first));
  }

  private get leanestVariant(): Variant<T> {
    const { usualVariant } = this;
    const isLean = [...usualVariant.decisions.values()].every(({ options }) => leanestOf(options) === options[0]);
    return (this.leanest_ ??= isLean ? usualVariant : this.variant(({ options }) => leanestOf(options)));
  }

  private variant(choose: (decision: FormDecision) => FormOption | undefined): Variant<T> {
    const { costs, macsPerSecond } = this.options;
    const chosen = new Map<string, FormOption>();
    const chooser = new FormChooser(costs, macsPerSecond, this.known, (decision) => {
      const option = choose(decision);
      if (option) chosen.set(decisionKey(decision), option);
      return option;
    });
    const built = this.build(chooser);
    const seconds = [...chosen.values()].reduce((sum, option) => sum + option.seconds, 0);
    return { built, decisions: chooser.decisions, chosen, seconds };
  }
}

function attempt<T extends { readonly program: MemoryProgram }>(
  variant: Variant<T>,
  policy: MemoryPolicy,
  budget: number,
): Planned<T> | undefined {
  try {
    return { variant, schedule: planMemory(variant.built.program, policy, budget) };
  } catch (error) {
    if (error instanceof BudgetTooSmall) return undefined;
    throw error;
  }
}

const totalSeconds = <T>({ variant, schedule }: Planned<T>): number => variant.seconds + extraSeconds(schedule);

function fittedOf<T extends { readonly program: MemoryProgram }>(
  { variant, schedule }: Planned<T>,
  usual: Variant<T>,
  budget = schedule.poolBytes,
): Fitted<T> {
  const room = roomOf(variant.built.program, schedule, budget);
  const forms = [...variant.chosen].map(([key, { name, workspaceBytes }]): ConvolutionForm => {
    const { node, job } = variant.decisions.get(key) as FormDecision;
    const fastest = usual.chosen.get(key);
    return {
      layer: node,
      gradient: job === 'input-gradient' ? 'input' : 'weight',
      form: name,
      workspaceBytes,
      bytesLeft: room.get(node) ?? 0,
      fastestForm: fastest?.name ?? name,
      fastestWorkspaceBytes: fastest?.workspaceBytes ?? workspaceBytes,
    };
  });
  return { built: variant.built, schedule, slowerSeconds: variant.seconds - usual.seconds, forms };
}
