declare module 'jsfive' {
  export interface Dataset {
    readonly shape: readonly number[];
    readonly dtype: string;
    readonly value: ArrayLike<number>;
  }

  export class Group {
    readonly keys: readonly string[];
    readonly attrs: Readonly<Record<string, unknown>>;
    get(path: string): Group | Dataset | undefined;
  }

  export class File extends Group {
    constructor(buffer: ArrayBufferLike, name: string);
  }
}
