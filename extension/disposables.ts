import type { Disposable } from 'vscode';

/** Owns disposables and disposes each once, the last added first. What is added after that is disposed at once. */
export class DisposableStore implements Disposable {
  private readonly owned = new Set<Disposable>();
  private isDisposed = false;

  add<T extends Disposable>(disposable: T): T {
    if (this.isDisposed) disposable.dispose();
    else this.owned.add(disposable);
    return disposable;
  }

  dispose(): void {
    this.isDisposed = true;
    const owned = [...this.owned].reverse();
    this.owned.clear();
    for (const disposable of owned) disposable.dispose();
  }
}
