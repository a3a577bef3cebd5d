/** What a long operation may use to report and to stop. */
export interface OperationContext {
  readonly signal?: AbortSignal;
  log?(message: string): void;
  progress?(done: number, total: number, unit: string, message?: string): void;
}
