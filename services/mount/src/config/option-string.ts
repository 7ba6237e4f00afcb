/**
 * `-o OPTIONS`: the option strings of overlayfs, fuse-overlayfs and mount(8). Every word has a row in a table; one that
 * is unknown, or known and not supported, is an error that says so. Nothing is ignored.
 */
import { MS } from "@sluice/native";
import { wrong } from "../complaint.js";
import { splitEscaped, unescapeName } from "./escaped-list.js";
import type { RedirectDir } from "./mount-config.js";

export interface OptionString {
  lowers: string[] | undefined;
  upper: string | undefined;
  work: string | undefined;
  source: string | undefined;
  setFlags: number;
  clearFlags: number;
  userXattr: boolean;
  redirectDir: RedirectDir;
  volatile: boolean;
  cacheTtlMs: number | undefined;
}

type Apply = (into: OptionString, value: string | undefined, word: string) => void;

const MORE = "see 'sluice mount --help' for the options that are";

function notSupported(word: string, why: string): never {
  throw wrong(`-o ${word}`, `option is not supported: ${why}`, MORE);
}

function valueOf(value: string | undefined, word: string): string {
  if (value === undefined || value === "") throw wrong(`-o ${word}`, "option lacks a value", `write ${word.replace(/=$/, "")}=VALUE`);
  return value;
}

function once<K extends "upper" | "work" | "source">(key: K): Apply {
  return (into, value, word) => {
    if (into[key] !== undefined) throw wrong(`-o ${word}`, "option is given twice", "give it once");
    into[key] = unescapeName(valueOf(value, word));
  };
}

function flag(bit: number, on: boolean): Apply {
  return (into, value, word) => {
    if (value !== undefined) throw wrong(`-o ${word}`, "option takes no value", "leave the value out");
    into.setFlags = on ? into.setFlags | bit : into.setFlags & ~bit;
    into.clearFlags = on ? into.clearFlags & ~bit : into.clearFlags | bit;
  };
}

/** An option of which only some values are what Sluice does anyway. */
function only(accepted: readonly string[], why: string): Apply {
  return (_into, value, word) => {
    if (value === undefined || !accepted.includes(value)) notSupported(word, why);
  };
}

const nothing: Apply = () => undefined;
const no =
  (why: string): Apply =>
  (_into, _value, word) =>
    notSupported(word, why);

const redirectDir: Apply = (into, value, word) => {
  switch (valueOf(value, word)) {
    case "on":
      into.redirectDir = "on";
      return;
    // Redirects that exist are followed in either case, as with overlayfs' "off" where redirect_always_follow is set.
    case "off":
    case "follow":
      into.redirectDir = "off";
      return;
    case "nofollow":
      notSupported(word, "redirects that exist are always followed");
  }
  throw wrong(`-o ${word}`, "value is none of on, off, follow", "choose one of them");
};

const timeout: Apply = (into, value, word) => {
  const seconds = Number(valueOf(value, word));
  if (!Number.isFinite(seconds) || seconds < 0)
    throw wrong(`-o ${word}`, "value is not a count of seconds", "write for instance timeout=60");
  into.cacheTtlMs = Math.min(seconds * 1000, 2 ** 31 - 1);
};

const lowerdir: Apply = (into, value, word) => {
  if (into.lowers !== undefined) throw wrong(`-o ${word}`, "option is given twice", "give the layers in one list, topmost first");
  into.lowers = splitEscaped(valueOf(value, word), ":", true);
};

const LATER = "it is not built yet";
const rows: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ["lowerdir", lowerdir],
  ["upperdir", once("upper")],
  ["workdir", once("work")],
  ["fsname", once("source")],
  ["redirect_dir", redirectDir],
  ["timeout", timeout],
  [
    "userxattr",
    (into) => {
      into.userXattr = true;
    },
  ],
  [
    "volatile",
    (into) => {
      into.volatile = true;
    },
  ],
  ["ro", flag(MS.RDONLY, true)],
  ["rw", flag(MS.RDONLY, false)],
  ["nosuid", flag(MS.NOSUID, true)],
  ["suid", flag(MS.NOSUID, false)],
  ["nodev", flag(MS.NODEV, true)],
  ["dev", flag(MS.NODEV, false)],
  ["noexec", flag(MS.NOEXEC, true)],
  ["exec", flag(MS.NOEXEC, false)],
  ["sync", flag(MS.SYNCHRONOUS, true)],
  ["async", flag(MS.SYNCHRONOUS, false)],
  ["dirsync", flag(MS.DIRSYNC, true)],
  ["noatime", flag(MS.NOATIME, true)],
  ["atime", flag(MS.NOATIME, false)],
  ["nodiratime", flag(MS.NODIRATIME, true)],
  ["diratime", flag(MS.NODIRATIME, false)],
  ["relatime", flag(MS.RELATIME, true)],
  ["strictatime", flag(MS.STRICTATIME, true)],
  ["lazytime", flag(MS.LAZYTIME, true)],
  ["nolazytime", flag(MS.LAZYTIME, false)],
  ["defaults", nothing],
  ["default_permissions", nothing],
  ["allow_other", nothing],
  ["subtype", only(["sluice"], "the type is always fuse.sluice")],
  ["index", only(["off"], LATER)],
  ["metacopy", only(["off"], LATER)],
  ["nfs_export", only(["off"], LATER)],
  ["verity", only(["off"], LATER)],
  ["xino", no(LATER)],
  ["uuid", no(LATER)],
  ["override_creds", no(LATER)],
  ["datadir+", no(LATER)],
  ["lowerdir+", no("give all layers in one lowerdir=")],
  ["uidmapping", no(LATER)],
  ["gidmapping", no(LATER)],
  ["squash_to_root", no(LATER)],
  ["squash_to_uid", no(LATER)],
  ["squash_to_gid", no(LATER)],
  ["xattr_permissions", no(LATER)],
  ["static_nlink", no(LATER)],
  ["noacl", no(LATER)],
  ["noxattrs", no(LATER)],
  ["ino32_t", no(LATER)],
  ["fast_ino", no(LATER)],
  ["fsync", only(["1"], "use volatile to do without fsync")],
  ["writeback", no("the kernel does not combine it with passthrough")],
  ["plugins", no("Sluice has none")],
  ["context", no(LATER)],
  ["fscontext", no(LATER)],
  ["defcontext", no(LATER)],
  ["rootcontext", no(LATER)],
  ["allow_root", no("every user may use the mount, as permissions say")],
  ["nonempty", no("the mount point must be empty")],
]);

/** Parses one or more `-o` strings, later ones over earlier ones. Throws CliError. */
export function parseOptionStrings(strings: readonly string[]): OptionString {
  const into: OptionString = {
    lowers: undefined,
    upper: undefined,
    work: undefined,
    source: undefined,
    setFlags: 0,
    clearFlags: 0,
    userXattr: false,
    redirectDir: "on",
    volatile: false,
    cacheTtlMs: undefined,
  };
  let redirectGiven = false;
  for (const word of strings.flatMap((text) => splitEscaped(text, ",", false))) {
    if (word === "") continue;
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const apply = rows.get(name);
    if (apply === undefined) throw wrong(`-o ${word}`, "unknown option", MORE);
    redirectGiven ||= name === "redirect_dir";
    apply(into, equals < 0 ? undefined : word.slice(equals + 1), word);
  }
  // As in the kernel: whoever may write user.* marks could forge a redirect.
  if (into.userXattr && redirectGiven && into.redirectDir === "on") {
    throw wrong("-o redirect_dir=on", "not possible together with userxattr, as users could forge redirects", "leave one of them out");
  }
  if (into.userXattr) into.redirectDir = "off";
  return into;
}
