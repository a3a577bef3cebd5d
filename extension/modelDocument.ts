import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { ImportanceReport, ModelSummary, Totals } from '../engine/contract/models';
import type { PlanOperation, SurgeryPlan } from '../engine/contract/plan';
import type { EngineClient } from './engineClient';
import type { Runs } from './runs';

export interface Edit {
  readonly label: string;
  undo(): Promise<void>;
  redo(): Promise<void>;
}

/** The edits that the file on disk has. */
export type SavedEdits = Pick<SurgeryPlan, 'operations' | 'locked'>;

/** A document's edits with those of them that were saved, to open it with them again. */
export interface DocumentBackup {
  readonly plan: SurgeryPlan;
  readonly saved: SavedEdits;
}

/** A model file as base and plan (DESIGN 5.4). The base never changes: before the first save it is copied aside, so that every edit stays undoable. */
export class ModelDocument implements vscode.CustomDocument {
  private base: string;
  private current: readonly PlanOperation[];
  private shown: ModelSummary;
  private lockedLayers: readonly string[];
  importance: ImportanceReport | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly disposed = new vscode.EventEmitter<void>();
  private readonly edited = new vscode.EventEmitter<Edit>();
  readonly onDidChange = this.changed.event;
  readonly onDidDispose = this.disposed.event;
  readonly onDidEdit = this.edited.event;

  private constructor(
    readonly uri: vscode.Uri,
    private readonly engine: EngineClient,
    private readonly runs: Runs,
    private readonly storage: string,
    base: string,
    private readonly original: ModelSummary,
    shown: ModelSummary,
    { operations, locked = [] }: SavedEdits,
    private saved: SavedEdits,
  ) {
    this.base = base;
    this.lockedLayers = locked;
    this.shown = shown;
    this.current = operations;
  }

  static async open(uri: vscode.Uri, engine: EngineClient, runs: Runs, storage: string, backup?: DocumentBackup): Promise<ModelDocument> {
    const base = backup?.plan.base.path ?? uri.fsPath;
    const original = await engine.request('model/inspect', { path: base });
    const shown = backup ? await engine.request('model/inspect', { path: base, plan: backup.plan }) : original;
    const unedited: SavedEdits = { operations: [] };
    return new ModelDocument(uri, engine, runs, storage, base, original, shown, backup?.plan ?? unedited, backup?.saved ?? unedited);
  }

  get file(): string {
    return this.uri.fsPath;
  }

  get basePath(): string {
    return this.base;
  }

  get summary(): ModelSummary {
    return this.shown;
  }

  /** The base without its plan. */
  get originalSummary(): ModelSummary {
    return this.original;
  }

  get originalTotals(): Totals & { bytes: number } {
    return { ...this.original.totals, bytes: this.original.bytes };
  }

  get operations(): readonly PlanOperation[] {
    return this.current;
  }

  /** Layers whose groups lose nothing. */
  get locked(): readonly string[] {
    return this.lockedLayers;
  }

  /** Those of them that the network has with its plan applied. */
  get lockedNow(): readonly string[] {
    const layers = new Set(this.shown.groups.flatMap((g) => g.layers));
    return this.lockedLayers.filter((layer) => layers.has(layer));
  }

  /** Whether the plan changes the network itself. */
  get hasSurgery(): boolean {
    return this.current.some((o) => o.enabled && o.kind !== 'insert-noise');
  }

  planWith(operations: readonly PlanOperation[]): SurgeryPlan {
    const locked = this.lockedLayers.length > 0 ? { locked: this.lockedLayers } : {};
    return { version: 1, base: { path: this.base, hash: this.original.hash }, operations, ...locked };
  }

  get plan(): SurgeryPlan {
    return this.planWith(this.current);
  }

  /** Replaces the operations as one undoable edit; nothing changes when the engine refuses them. */
  async edit(label: string, operations: readonly PlanOperation[]): Promise<void> {
    const [before, importance] = [this.current, this.importance];
    await this.show(operations);
    this.edited.fire({
      label,
      undo: () => this.show(before, importance),
      redo: () => this.show(operations),
    });
  }

  /** Locks layers in place of those locked before, as one undoable edit. */
  setLocked(label: string, locked: readonly string[]): void {
    const before = this.lockedLayers;
    const set = (layers: readonly string[]): Promise<void> => {
      this.lockedLayers = layers;
      this.changed.fire();
      return Promise.resolve();
    };
    void set(locked);
    this.edited.fire({ label, undo: () => set(before), redo: () => set(locked) });
  }

  setImportance(report: ImportanceReport): void {
    this.importance = report;
    this.changed.fire();
  }

  private async show(operations: readonly PlanOperation[], importance?: ImportanceReport): Promise<void> {
    this.shown = await this.engine.request('model/inspect', { path: this.base, plan: this.planWith(operations) });
    this.current = operations;
    this.importance = importance;
    this.changed.fire();
  }

  get backup(): DocumentBackup {
    return { plan: this.plan, saved: this.saved };
  }

  async save(): Promise<void> {
    const saved = { operations: this.current, locked: this.lockedLayers };
    await this.saveTo(this.file);
    this.saved = saved;
  }

  /** Writes the result to a file that then takes the target's name. Saving over the base first keeps a copy of it. */
  async saveTo(target: string): Promise<void> {
    if (target === this.base) await this.keepBase();
    const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}.tmp`);
    const apply = (job: string) => this.engine.request('plan/apply', { job, path: this.base, plan: this.plan, output: temporary });
    try {
      await this.runs.run(
        `Save ${path.basename(target)}`,
        target,
        apply,
        (r) => `masked difference ${r.maskedDifference.toExponential(1)}`,
      );
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  private async keepBase(): Promise<void> {
    await mkdir(this.storage, { recursive: true });
    const copy = path.join(this.storage, `${this.original.hash}.onnx`);
    await copyFile(this.base, copy);
    this.base = copy;
  }

  async revert(): Promise<void> {
    this.lockedLayers = this.saved.locked ?? [];
    await this.show(this.saved.operations);
  }

  dispose(): void {
    this.disposed.fire();
    [this.changed, this.disposed, this.edited].forEach((emitter) => emitter.dispose());
  }
}
