/**
 * Lines that describe an object (`file 4755 0:0 mtime=now nlink=2 …`). A part that differs for a known reason is copied from
 * the other line.
 */

/** The line on the kernel's overlayfs, and on Sluice. */
export type Lines = readonly [kernel: string, sluice: string];

const LINKS = / nlink=(\d+)(?= |$)/;
const MODIFIED = / mtime=(\S+)/;
const MODE = /^([a-z ]+) ([0-7]+) /;
const REDIRECT = / redirect="[^"]*"/;
const METADATA_ONLY = /^(.* size=\d+) \S+ trusted\.overlay\.metacopy="" redirect=/;
const MARKS = / (?:trusted\.overlay\.opaque|redirect)="[^"]*"/g;
const SETUID_AND_SETGID = 0o6000;
const SETGID = 0o2000;

export function isObjectLine(result: unknown): result is string {
  return typeof result === "string" && MODE.test(result);
}

export const isDirectoryLine = (line: string): boolean => line.startsWith("directory");

/** 0 if the line has none. */
export function linksOf(line: unknown): number {
  return typeof line === "string" ? Number(LINKS.exec(line)?.[1] ?? 0) : 0;
}

function modeOf(line: string): number {
  return Number.parseInt(MODE.exec(line)?.[2] ?? "0", 8);
}

function withMode(line: string, mode: number): string {
  return line.replace(MODE, `$1 ${mode.toString(8)} `);
}

/** Returns the first line with the other's mode if the two differ only in `bits`, of which only the first has some. */
function withoutBits(having: string, without: string, bits: number): string {
  const [had, has] = [modeOf(having), modeOf(without)];
  return had !== has && has === (had & ~bits) ? withMode(having, has) : having;
}

/** Only the kernel's file is still setuid or setgid. */
export function levelPrivilege([kernel, sluice]: Lines): Lines {
  return kernel.startsWith("file ") && sluice.startsWith("file ")
    ? [withoutBits(kernel, sluice, SETUID_AND_SETGID), sluice]
    : [kernel, sluice];
}

/** Only Sluice's object is still setgid. */
export function levelSetgid([kernel, sluice]: Lines): Lines {
  return [kernel, withoutBits(sluice, kernel, SETGID)];
}

/**
 * A metadata-only copy of a file with several names leads to its data by the name that was copied up first. Its redirect stays when it gets
 * its data.
 */
export function levelLinks([kernel, sluice]: Lines): Lines {
  const counted = sluice.replace(LINKS, LINKS.exec(kernel)?.[0] ?? "");
  const linked = [kernel, sluice].every((line) => line.startsWith("file ") && linksOf(line) > 1);
  return [kernel, linked ? counted.replace(REDIRECT, REDIRECT.exec(kernel)?.[0] ?? "") : counted];
}

/** `line` is of a metadata-only copy, and `other` of an equal file that may have its data. */
export function isWithoutData(line: unknown, other: unknown): boolean {
  const [, facts] = METADATA_ONLY.exec(String(line)) ?? [];
  return facts !== undefined && String(other).startsWith(`${facts} "`);
}

/** Only the kernel's object was changed just now. */
export function levelTime([kernel, sluice]: Lines): Lines {
  return [kernel, MODIFIED.exec(kernel)?.[1] === "now" ? sluice.replace(MODIFIED, " mtime=now") : sluice];
}

export function levelMarks([kernel, sluice]: Lines): Lines {
  return [kernel.replace(MARKS, ""), sluice.replace(MARKS, "")];
}

/** The same with the two exchanged, as after the layers changed hands. */
export function turned(level: (lines: Lines) => Lines): (lines: Lines) => Lines {
  return ([kernel, sluice]) => {
    const [one, other] = level([sluice, kernel]);
    return [other, one];
  };
}
