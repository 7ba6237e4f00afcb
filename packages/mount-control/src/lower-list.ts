/** Parses the value of `lowerdir=`: lower layers, topmost first, then data-only layers behind `::`, as overlayfs does (fs/overlayfs/params.c). */
import { wrong } from "@sluice/runtime/cli";
import { splitEscaped } from "./escaped-list.js";

/** The limit of lower layers of one mount, data-only layers included: OVL_MAX_STACK of overlayfs. Each costs a mount and a descriptor. */
export const MAX_LOWERS = 500;

export interface LowerList {
  lowers: string[];
  dataLowers: string[];
}

/** @throws CliError if the list is malformed; it names `option` */
export function parseLowerList(text: string, option: string): LowerList {
  const pieces = splitEscaped(text, ":", true);
  const list: LowerList = { lowers: [], dataLowers: [] };
  let data = false;
  for (let at = 0; at < pieces.length; at++) {
    let path = pieces[at] as string;
    if (path === "") {
      path = afterGap(pieces, at, option);
      data = true;
      at++;
    } else if (data) {
      throw wrong(option, `lower layer ${path} follows a data-only layer`, "put data-only layers last, each behind ::");
    }
    (data ? list.dataLowers : list.lowers).push(path);
  }
  return list;
}

/** A layer follows the empty piece of `::`: that piece is never the last one, and never double. */
function afterGap(pieces: readonly string[], at: number, option: string): string {
  const next = pieces[at + 1];
  if (at === 0 || next === undefined || next === "") {
    throw wrong(option, "a layer's name is empty", "write DIR:DIR, and DIR::DATADIR for a data-only layer; a colon in a name is \\:");
  }
  return next;
}
