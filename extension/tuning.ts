/** Samples in a step when a model is tuned from the editor. */
export const TUNING_BATCH = 64;
