/** What a labelled data set holds and how its values reach the network. */
export interface DataDescription {
  readonly name: string;
  readonly classes: readonly string[];
  /** Meaning of the axes of a sample: channel, height, width; time, feature; or features. */
  readonly layout: 'CHW' | 'TF' | 'F';
  readonly sampleShape: readonly number[];
  readonly element: 'uint8' | 'float32';
  /** Numbers of samples. */
  readonly train: number;
  readonly test: number;
  /** Format, layout and split as they were found. */
  readonly notes: readonly string[];
  readonly scaling: string;
  /** By channel after that scaling without normalisation: what --mean and --std would take. */
  readonly statistics?: { readonly mean: readonly number[]; readonly std: readonly number[] };
}
