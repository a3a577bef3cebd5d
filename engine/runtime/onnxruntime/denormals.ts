import koffi, { type LibraryHandle } from 'koffi';

/**
 * Treats denormal numbers as zero in runs, as training frameworks do: values that decay (momentum of dead filters, vanishing gradients) become
 * denormal, and many x86 processors compute those up to a hundred times slower.
 *
 * onnxruntime's option covers the threads of its own pool only. The thread that calls Run does a share of the work; it is one of libuv's pool
 * (asynchronous runs) or the JavaScript thread (short runs), so these are set here. Either all threads flush or none do: otherwise results
 * would depend on which thread computed what.
 */
export interface DenormalFlush {
  readonly active: boolean;
  /** Sets the threads of libuv's pool, once; await it before the first run. */
  ready(): Promise<void>;
  /** Runs a call with flushing on this thread, and restores its mode after. */
  during(call: () => void): void;
}

/** A switch that changes nothing. arm64 processors compute denormals at full speed. */
const NONE: DenormalFlush = { active: false, ready: () => Promise.resolve(), during: (call) => call() };

/** Flush-to-zero and denormals-are-zero of the MXCSR register, at its offset in glibc's x86-64 fenv_t (Intel SDM volume 1, 10.2.3). */
const FLUSH_BITS = 0x8040;
const MXCSR_WORD = 7;
const FENV_WORDS = 8;
/** sizeof(sem_t) of glibc x86-64. */
const SEMAPHORE_BYTES = 32;
const HOLD_SECONDS = 2;

/** Inactive where threads cannot be set from here: then nothing flushes. */
export function openDenormalFlush(): DenormalFlush {
  if (process.platform !== 'linux' || process.arch !== 'x64') return NONE;
  try {
    return new GlibcFlush();
  } catch {
    return NONE;
  }
}

class GlibcFlush implements DenormalFlush {
  readonly active = true;
  readonly #math = koffi.load('libm.so.6');
  readonly #c = koffi.load('libc.so.6');
  readonly #setMode = this.#math.func('fesetenv', 'int', ['void *']);
  readonly #wait = this.#c.func('sem_timedwait', 'int', ['void *', 'void *']);
  readonly #post = this.#c.func('sem_post', 'int', ['void *']);
  readonly #normal = new Uint32Array(FENV_WORDS);
  readonly #flushed = new Uint32Array(FENV_WORDS);
  readonly #semaphores = new Uint8Array(SEMAPHORE_BYTES * poolSize());
  #ready: Promise<void> | undefined;

  constructor() {
    this.#math.func('fegetenv', 'int', ['void *'])(this.#normal);
    this.#flushed.set(this.#normal);
    this.#flushed[MXCSR_WORD] = (this.#normal[MXCSR_WORD] ?? 0) | FLUSH_BITS;
    const init = this.#c.func('sem_init', 'int', ['void *', 'int', 'uint']);
    for (let i = 0; i < poolSize(); i++) init(this.#semaphore(i), 0, 0);
  }

  during(call: () => void): void {
    this.#setMode(this.#flushed);
    try {
      call();
    } finally {
      this.#setMode(this.#normal);
    }
  }

  ready(): Promise<void> {
    this.#ready ??= this.#setPool();
    return this.#ready;
  }

  /** Holds every thread at a semaphore of its own, then frees one at a time: it sets its mode and is held again until all have. */
  async #setPool(): Promise<void> {
    const deadline = BigInt64Array.of(BigInt(Math.ceil(Date.now() / 1000) + HOLD_SECONDS), 0n);
    const hold = (i: number): Promise<void> => this.#async(this.#wait, this.#semaphore(i), deadline);
    const all = Array.from({ length: poolSize() }, (_, i) => i);
    const held = all.map(hold);
    for (const i of all) {
      const set = this.#async(this.#setMode, this.#flushed);
      held.push(hold(i));
      this.#post(this.#semaphore(i));
      await set;
    }
    for (const i of all) this.#post(this.#semaphore(i));
    await Promise.all(held);
  }

  #semaphore(index: number): Uint8Array {
    return this.#semaphores.subarray(index * SEMAPHORE_BYTES, (index + 1) * SEMAPHORE_BYTES);
  }

  /** The arguments are kept alive by the closure; the memory of semaphores and modes belongs to this object, which lives on. */
  #async(call: ReturnType<LibraryHandle['func']>, ...args: (Uint8Array | Uint32Array | BigInt64Array)[]): Promise<void> {
    return new Promise((resolve, reject) => {
      call.async(...args, (error: unknown) => {
        args.length = 0;
        if (error) reject(new Error('A call into libc failed', { cause: error }));
        else resolve();
      });
    });
  }
}

/** Threads of libuv's pool, which reads the variable once at its start. */
function poolSize(): number {
  const wanted = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '4', 10);
  return Math.min(1024, Math.max(1, Number.isNaN(wanted) ? 1 : wanted));
}
