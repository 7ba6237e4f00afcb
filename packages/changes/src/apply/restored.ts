/**
 * Files of the directory that an apply moved away, and that its undoing or failure put back. The kernel notes a move as a change: for other
 * sessions, and for their applies, each such file is still what it was before.
 */
import { isDirectory } from "@sluice/layer-tools";
import { Attr } from "@sluice/vfs";
import { changedAt, contentStateOf, identityOf, withChange } from "../identity.js";
import { look, type Place, type RestoredFile } from "./place.js";
import type { ApplyRecord, Reviewed } from "./record.js";
import { isInode } from "./steps.js";

export class Earlier {
  readonly #place: Pick<Place, "restored">;
  #byPath: Map<string, RestoredFile[]> | undefined;

  constructor(place: Pick<Place, "restored">) {
    this.#place = place;
  }

  #read(): Map<string, RestoredFile[]> {
    const byPath = new Map<string, RestoredFile[]>();
    for (const file of this.#place.restored?.list() ?? []) byPath.set(file[0], [...(byPath.get(file[0]) ?? []), file]);
    return byPath;
  }

  /** The times of change that a file had before its last one. */
  changesOf(path: string, attr: Attr): string[] {
    if (isDirectory(attr)) return [];
    this.#byPath ??= this.#read();
    const identity = identityOf(attr);
    return (this.#byPath.get(path) ?? []).flatMap(([, now, changed]) => (now === identity ? changed : []));
  }

  /** The attributes of a file as they were before, for each time that it came back. */
  formsOf(path: string, attr: Attr): Attr[] {
    return this.changesOf(path, attr).map((changed) => withChange(attr, BigInt(changed)));
  }
}

function returned(place: Place, earlier: Earlier, path: string, before: Reviewed): RestoredFile[] {
  const { seen } = before;
  const attr = seen === undefined ? undefined : look(place.base.fd, path);
  if (seen === undefined || !isInode(attr, before) || isDirectory(attr)) return [];
  const [changed, state] = seen;
  if (contentStateOf(attr) !== state || String(changedAt(attr)) === changed) return [];
  const then = withChange(attr, BigInt(changed));
  return [[path, identityOf(attr), [changed, ...earlier.changesOf(path, then)]]];
}

/** Notes the files of these steps and names that came back. */
export function noteReturned(place: Place, { steps, names = [] }: Pick<ApplyRecord, "steps" | "names">): void {
  if (place.restored === undefined) return;
  const earlier = new Earlier(place);
  const files = [...steps, ...names].flatMap((one) => ("before" in one ? returned(place, earlier, one.path, one.before) : []));
  if (files.length > 0) place.restored.add(files);
}
