/** The rows of options that change what the mount shows: owners, link counts, extended attributes. */
import type { IdRange } from "@sluice/id-mapping";
import { wrong } from "@sluice/runtime/cli";
import type { OptionRow } from "./option-row.js";
import type { OptionString } from "./option-values.js";

/** The kernel's last id; the next one means "no id". */
const MAX_ID = 0xffff_fffe;

function parseId(text: string, word: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || id > MAX_ID) throw wrong(`-o ${word}`, `"${text}" is not an id`, `write a number from 0 to ${MAX_ID}`);
  return id;
}

function overlap(one: IdRange, other: IdRange, key: "layer" | "shown"): boolean {
  return one[key] < other[key] + other.count && other[key] < one[key] + one.count;
}

/** "0:100000:65536", or several of them in one list. */
function parseRanges(value: string | undefined, word: string): IdRange[] {
  // podman begins the list with a colon.
  const ids = (value ?? "").replace(/^:/, "").split(":");
  if (ids.length % 3 !== 0) throw wrong(`-o ${word}`, "value is not a list of ID:ID:COUNT", "write for instance uidmapping=0:100000:65536");
  const ranges: IdRange[] = [];
  for (let at = 0; at < ids.length; at += 3) {
    const [layer = 0, shown = 0, count = 0] = ids.slice(at, at + 3).map((text) => parseId(text, word));
    const range = { layer, shown, count };
    if (count === 0 || Math.max(layer, shown) + count - 1 > MAX_ID) {
      throw wrong(
        `-o ${word}`,
        `${layer}:${shown}:${count} is not a range of ids`,
        "give it at least one id, and end it before the last id",
      );
    }
    const other = ranges.find((each) => overlap(each, range, "layer") || overlap(each, range, "shown"));
    if (other !== undefined) throw wrong(`-o ${word}`, `${layer}:${shown}:${count} overlaps another range`, "give each id once");
    ranges.push(range);
  }
  return ranges;
}

function mapping(name: "uidmapping" | "gidmapping", key: "uids" | "gids"): OptionRow {
  return {
    of: "fuse-overlayfs",
    name,
    values: "ID:SHOWN:COUNT[:…]",
    apply: (into, value, word) => {
      if (into.shown[key].length > 0) throw wrong(`-o ${word}`, "option is given twice", "give all ranges in one list");
      into.shown[key] = parseRanges(value, word);
    },
  };
}

function squash(name: "squash_to_uid" | "squash_to_gid", key: "squashUid" | "squashGid"): OptionRow {
  return {
    of: "fuse-overlayfs",
    name,
    values: "ID",
    apply: (into, value, word) => {
      into.shown[key] = parseId(value ?? "", word);
    },
  };
}

function bare(name: string, set: (into: OptionString) => void): OptionRow {
  return {
    of: "fuse-overlayfs",
    name,
    apply: (into, value, word) => {
      if (value !== undefined) throw wrong(`-o ${word}`, "option takes no value", "leave the value out");
      set(into);
    },
  };
}

export const shownOptions: readonly OptionRow[] = [
  mapping("uidmapping", "uids"),
  mapping("gidmapping", "gids"),
  bare("squash_to_root", (into) => {
    into.shown.squashToRoot = true;
  }),
  squash("squash_to_uid", "squashUid"),
  squash("squash_to_gid", "squashGid"),
  bare("static_nlink", (into) => {
    into.shown.staticNlink = true;
  }),
  bare("noacl", (into) => {
    into.shown.acl = false;
  }),
  {
    of: "fuse-overlayfs",
    name: "noxattrs",
    values: "0|1",
    apply: (into, value, word) => {
      // fuse-overlayfs takes noxattrs=1; the bare word means the same.
      if (value !== undefined && value !== "0" && value !== "1") throw wrong(`-o ${word}`, "value is none of 0, 1", "choose one of them");
      into.shown.xattrs = value === "0";
    },
  },
];
