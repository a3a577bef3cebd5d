import { malformed } from './fileBytes';

export interface NamedBytes {
  readonly name: string;
  readonly bytes: Buffer;
}

const TAR_BLOCK = 512;

/** Plain files of a tar archive (ustar, with GNU's and pax's long names). */
export function tarEntries(bytes: Buffer, file: string): NamedBytes[] {
  const entries: NamedBytes[] = [];
  let longName: string | undefined;
  for (let at = 0; at + TAR_BLOCK <= bytes.length && bytes[at] !== 0;) {
    const field = (start: number, length: number): string =>
      bytes.toString('latin1', at + start, at + start + length).replace(/\0.*$/s, '');
    const size = parseInt(field(124, 12), 8);
    if (Number.isNaN(size) || at + TAR_BLOCK + size > bytes.length) throw malformed(file, at, 'is not a whole tar archive');
    const content = bytes.subarray(at + TAR_BLOCK, at + TAR_BLOCK + size);
    const kind = field(156, 1);
    if (kind === '0' || kind === '')
      entries.push({ name: longName ?? [field(345, 155), field(0, 100)].filter(Boolean).join('/'), bytes: content });
    longName =
      kind === 'L'
        ? content.toString('utf8').replace(/\0.*$/s, '')
        : kind === 'x'
          ? /\d+ path=([^\n]*)\n/.exec(content.toString('utf8'))?.[1]
          : undefined;
    at += TAR_BLOCK * (1 + Math.ceil(size / TAR_BLOCK));
  }
  return entries;
}
