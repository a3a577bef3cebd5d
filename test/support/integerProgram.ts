import loadHighs from 'highs';

/** Coefficient and name of a variable. */
export type Term = readonly [number, string];

export interface Solution {
  readonly objective: number;
  /** Proven not to be more than the least objective; within a thousandth of it when `solved`. */
  readonly bound: number;
  readonly solved: boolean;
}

/** A linear program over binary and continuous variables, all of them between 0 and 1 but for those that are named `free`. */
export class IntegerProgram {
  private readonly objective: Term[] = [];
  private readonly rows: string[] = [];
  private readonly binary = new Set<string>();
  private readonly continuous = new Set<string>();
  private readonly unbounded = new Set<string>();

  /** A variable of the kind; `cost` enters the objective, which is made small. */
  variable(name: string, kind: 'binary' | 'share' | 'free', cost = 0): string {
    (kind === 'binary' ? this.binary : kind === 'share' ? this.continuous : this.unbounded).add(name);
    if (cost !== 0) this.objective.push([cost, name]);
    return name;
  }

  has(name: string): boolean {
    return this.binary.has(name) || this.continuous.has(name) || this.unbounded.has(name);
  }

  /** Sum of the terms at most `limit`. */
  atMost(terms: readonly Term[], limit: number): void {
    if (terms.length > 0) this.rows.push(`r${this.rows.length}: ${written(terms)} <= ${limit}`);
  }

  /** @returns undefined when nothing satisfies the constraints */
  async minimise(seconds: number): Promise<Solution | undefined> {
    const highs = await loadHighs();
    return highs.withModel({ format: 'lp', data: this.text() }, (model) => {
      model.options.set({ output_flag: false, time_limit: seconds, mip_rel_gap: 1e-3 });
      model.run();
      const { infeasible, optimal } = highs.constants.modelStatus;
      const status = model.getModelStatus();
      if (status === infeasible) return undefined;
      return { objective: model.getObjectiveValue(), bound: Number(model.info.get('mip_dual_bound')), solved: status === optimal };
    });
  }

  /** In CPLEX' LP format. */
  private text(): string {
    const bounds = [...this.continuous].map((name) => `0 <= ${name} <= 1`);
    const positive = [...this.unbounded].map((name) => `${name} >= 0`);
    return [
      'Minimize',
      `cost: ${this.objective.length > 0 ? written(this.objective) : '0 none'}`,
      'Subject To',
      ...this.rows,
      'Bounds',
      ...bounds,
      ...positive,
      'Binary',
      ...this.binary,
      'End',
    ].join('\n');
  }
}

const written = (terms: readonly Term[]): string =>
  terms.map(([factor, name]) => `${factor < 0 ? '-' : '+'} ${Math.abs(factor)} ${name}`).join('\n ');
