import v8 from 'node:v8';
import vm from 'node:vm';

let collect: (() => void) | undefined;

/** Gives back what compiling left, before a pool of planned memory is filled. */
export function collectGarbage(): void {
  if (!collect) {
    v8.setFlagsFromString('--expose-gc');
    collect = vm.runInNewContext('gc') as () => void;
  }
  collect();
}
