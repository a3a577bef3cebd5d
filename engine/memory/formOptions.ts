import { type ConvShape, CostTable, type FormQuestion, type Job } from '../ops/costTable';
import { lowerGraph } from './lowerGraph';
import { type MemoryProgram, usesOf } from './program';

/** A formulation of a gradient: its time, and the bytes that it holds beside what comes in and what goes out. */
export interface FormOption {
  readonly name: string;
  readonly seconds: number;
  readonly workspaceBytes: number;
}

/** A gradient of a convolution that can be computed in several ways. */
export interface FormDecision {
  /** Name of the convolution in the training graph. */
  readonly node: string;
  readonly job: Job;
  /** The first is what is taken where memory does not matter; none is faster. */
  readonly options: readonly FormOption[];
}

/** Most bytes that a graph holds at once beside its inputs and outputs, constants of their own storage included. */
export function workspaceBytes({ storages, operations, inputs, outputs }: MemoryProgram): number {
  const uses = usesOf({ storages, operations, inputs, outputs });
  const outside = new Set([...inputs, ...outputs]);
  const held = new Float64Array(operations.length);
  storages.forEach(({ bytes, pinned }, id) => {
    const [first = 0, last = first] = pinned ? [0, operations.length - 1] : [uses[id]?.[0], uses[id]?.at(-1)];
    if (!outside.has(id)) for (let at = first; at <= last; at++) held[at] = (held[at] as number) + bytes;
  });
  return held.reduce((a, b) => Math.max(a, b), 0);
}

const secondsOf = ({ operations }: MemoryProgram): number => operations.reduce((sum, { seconds }) => sum + seconds, 0);

/** Answers for a graph that is built with it, and notes what could be answered. */
export class FormChooser extends CostTable {
  readonly decisions = new Map<string, FormDecision>();

  /**
   * @param measured of this machine; without it times are estimates, and the built-in formulation counts as the fastest
   * @param known options by the key of a question, for several graphs of the same network
   * @param choose the first option is taken where it gives none
   */
  constructor(
    private readonly measured: CostTable | undefined,
    private readonly macsPerSecond: number | undefined,
    private readonly known: Map<string, readonly FormOption[]>,
    private readonly choose: (decision: FormDecision) => FormOption | undefined = () => undefined,
  ) {
    super(measured?.entries ?? []);
  }

  override fastest(job: Job, shape: ConvShape, candidates: readonly string[], usual: string, question?: FormQuestion): string {
    const fastest = super.fastest(job, shape, candidates, usual);
    const names = [...new Set([fastest, ...candidates])];
    if (!question || names.length < 2) return fastest;
    const key = JSON.stringify([job, question.key]);
    const options = this.known.get(key) ?? this.optionsOf(job, shape, names, question);
    this.known.set(key, options);
    const decision = { node: question.node, job, options };
    this.decisions.set(decisionKey(decision), decision);
    return this.choose(decision)?.name ?? fastest;
  }

  private optionsOf(job: Job, shape: ConvShape, names: readonly string[], { graphOf }: FormQuestion): readonly FormOption[] {
    const measured = this.measured?.seconds(job, shape, names) ?? new Map<string, number>();
    const options = names.map((name) => {
      const { program } = lowerGraph(graphOf(name), { macsPerSecond: this.macsPerSecond });
      return { name, seconds: measured.get(name) ?? secondsOf(program), workspaceBytes: workspaceBytes(program) };
    });
    const timed = measured.size > 0 ? options.filter(({ name }, i) => i === 0 || measured.has(name)) : options;
    const least = Math.min(...timed.map(({ seconds }) => seconds));
    return timed.map((option, i) => (i === 0 ? { ...option, seconds: least } : option));
  }
}

export const decisionKey = ({ job, node }: Pick<FormDecision, 'job' | 'node'>): string => `${job} of ${node}`;

/** SuperNeurons' dynamic convolution workspace: the fastest of those that fit into the bytes left, else the one that needs the least. */
export function fastestWithin(options: readonly FormOption[], room: number): FormOption {
  const fitting = options.filter((option) => option.workspaceBytes <= room);
  return fitting.length > 0 ? fitting.reduce((a, b) => (b.seconds < a.seconds ? b : a)) : leanestOf(options);
}

export const leanestOf = (options: readonly FormOption[]): FormOption =>
  options.reduce((a, b) => {
    const difference = b.workspaceBytes - a.workspaceBytes || b.seconds - a.seconds;
    return difference < 0 ? b : a;
  });
