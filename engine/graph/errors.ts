/** Error codes that cross process borders (DESIGN 5.3); the list is closed. */
export type SurgeryErrorCode =
  | 'file-not-found'
  | 'file-malformed'
  | 'file-unsupported'
  | 'data-malformed'
  | 'graph-invalid'
  | 'operator-unsupported'
  | 'shape-mismatch'
  | 'option-invalid'
  | 'budget-impossible'
  | 'runtime-failed'
  | 'cancelled'
  | 'internal';

/** An error a user can act on: one sentence that names the file, node or option, and what to do. */
export class SurgeryError extends Error {
  override readonly name = 'SurgeryError';

  constructor(
    readonly code: SurgeryErrorCode,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}
