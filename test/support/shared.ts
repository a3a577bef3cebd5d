import { existsSync } from 'node:fs';
import path from 'node:path';

/** Root of the real data and models, or undefined where they are not: such tests are then not defined. */
export const shared = [process.env.SCALPEL_SHARED, path.join(__dirname, '../../../shared')].find(
  (folder): folder is string => folder !== undefined && existsSync(folder),
);

export const sharedFile = (...parts: string[]): string | undefined => {
  const file = shared && path.join(shared, ...parts);
  return file && existsSync(file) ? file : undefined;
};
