/** Bytes a second of the spill, of which most is hidden behind computing. */
export const VISIBLE_SPILL_SPEED = 2e9;

/** What a transfer costs, however small. */
const TRANSFER_SECONDS = 20e-6;

export const transferSeconds = (bytes: number): number => bytes / VISIBLE_SPILL_SPEED + TRANSFER_SECONDS;
