/**
 * The table of `-o` options: one row per option, with its effect or the reason why it is refused. A test compares it with
 * docs/overlay-options.md. To add an option, add a row.
 */
import { MS } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";
import { parseLowerList, unescapeName } from "@sluice/mount-control";
import { type Apply, type OptionRow, refuse, valueOf, withoutValue } from "./option-row.js";
import type { OptionString } from "./option-values.js";
import { shownOptions } from "./shown-options.js";

type Of = OptionRow["of"];

/** An option with a closed set of values. Sluice knows `refused` values and does not support them. */
function choice(
  of: Of,
  name: string,
  values: readonly string[],
  more: { set?: (into: OptionString, value: string) => void; refused?: string; refusedValues?: readonly string[] },
): OptionRow {
  const apply: Apply = (into, given, word) => {
    const value = valueOf(given, word);
    if (more.refusedValues?.includes(value) === true) refuse(word, more.refused ?? "");
    if (!values.includes(value)) throw wrong(`-o ${word}`, `value is none of ${values.join(", ")}`, "choose one of them");
    more.set?.(into, value);
  };
  return { of, name, values: values.join("|"), apply, ...(more.refused === undefined ? {} : { refused: more.refused }) };
}

function onOff(of: Of, name: string, key: "metacopy" | "foreignMarks"): OptionRow {
  return choice(of, name, ["on", "off"], { set: (into, value) => (into[key] = value === "on") });
}

function word(of: Of, name: string, set: (into: OptionString) => void = () => undefined): OptionRow {
  const apply: Apply = (into, value, text) => {
    withoutValue(value, text);
    set(into);
  };
  return { of, name, apply };
}

function flag(name: string, bit: number, on: boolean): OptionRow {
  return word("mount", name, (into) => {
    into.setFlags = on ? into.setFlags | bit : into.setFlags & ~bit;
    into.clearFlags = on ? into.clearFlags & ~bit : into.clearFlags | bit;
  });
}

function once(of: Of, name: string, key: "upper" | "work" | "source"): OptionRow {
  const apply: Apply = (into, value, text) => {
    if (into[key] !== undefined) throw wrong(`-o ${text}`, "option is given twice", "give it once");
    into[key] = unescapeName(valueOf(value, text));
  };
  return { of, name, values: key === "source" ? "NAME" : "DIR", apply };
}

function no(of: Of, refused: string, ...names: string[]): OptionRow[] {
  return names.map((name) => ({ of, name, refused }));
}

/** Options for other programs (mount(8), systemd), and options that only make fuse-overlayfs faster. */
function unneeded(of: Of, ...names: string[]): OptionRow[] {
  return names.map((name) => ({ of, name, values: "ANY", apply: () => undefined }));
}

const lowerdir: Apply = (into, value, text) => {
  if (into.lowers !== undefined || into.dataLowers.length > 0) {
    throw wrong(`-o ${text}`, "lower layers are given already", "give them in one list, topmost first, or one by one with lowerdir+=");
  }
  const list = parseLowerList(valueOf(value, text), `-o ${text}`);
  into.lowers = list.lowers;
  into.dataLowers = list.dataLowers;
  into.lowerList = true;
};

/** One more layer. The name is taken literally, as the kernel does (ovl_mount_dir_noesc); `\\,` is the option string's own escape. */
function added(name: "lowerdir+" | "datadir+"): OptionRow {
  const apply: Apply = (into, value, text) => {
    const path = valueOf(value, text).replaceAll("\\,", ",");
    if (into.lowerList) {
      throw wrong(
        `-o ${text}`,
        "lowerdir= gave the whole list",
        "give all layers in lowerdir=, or one by one with lowerdir+= and datadir+=",
      );
    }
    if (name === "datadir+") into.dataLowers.push(path);
    else if (into.dataLowers.length > 0) throw wrong(`-o ${text}`, "a lower layer follows a data-only one", "put the datadir+= last");
    else into.lowers = [...(into.lowers ?? []), path];
  };
  return { of: "overlayfs", name, values: "DIR", apply };
}

const timeout: Apply = (into, value, text) => {
  const seconds = Number(valueOf(value, text));
  if (!Number.isFinite(seconds) || seconds < 0)
    throw wrong(`-o ${text}`, "value is not a count of seconds", "write for instance timeout=60");
  into.cacheTtlMs = Math.min(seconds * 1000, 2 ** 31 - 1);
};

/** A label may contain commas inside quotes. The quotes stay: the kernel's own parser needs them. */
function label(name: string): OptionRow {
  const apply: Apply = (into, given, text) => {
    const quoted = /^"(.*)"$/s.exec(unescapeName(valueOf(given, text)));
    const value = quoted?.[1] ?? unescapeName(given ?? "");
    if (value === "" || /["\0\n]/.test(value)) throw wrong(`-o ${text}`, "value is not a label", `write ${name}="user:role:type:level"`);
    into.labels.set(name, value);
  };
  return { of: "mount", name, values: "LABEL", apply };
}

export const optionTable: readonly OptionRow[] = [
  { of: "overlayfs", name: "lowerdir", values: "DIR[:DIR…][::DATADIR…]", apply: lowerdir },
  added("lowerdir+"),
  added("datadir+"),
  once("overlayfs", "upperdir", "upper"),
  once("overlayfs", "workdir", "work"),
  choice("overlayfs", "redirect_dir", ["on", "off", "follow", "nofollow"], {
    set: (into, value) => (into.redirectDir = value as NonNullable<OptionString["redirectDir"]>),
  }),
  onOff("overlayfs", "metacopy", "metacopy"),
  choice("overlayfs", "index", ["on", "off"], { set: (into, value) => (into.index = value as NonNullable<OptionString["index"]>) }),
  choice("overlayfs", "xino", ["on", "off", "auto"], { set: (into, value) => (into.xino = value as NonNullable<OptionString["xino"]>) }),
  choice("overlayfs", "uuid", ["null", "off", "auto"], {
    set: (into, value) => (into.uuid = value as NonNullable<OptionString["uuid"]>),
    refusedValues: ["on"],
    refused: "a FUSE mount shows no file system id of its own (statfs has none)",
  }),
  choice("overlayfs", "nfs_export", ["off"], {
    refusedValues: ["on"],
    refused: "file handles outlive an unmount in order, but not a crash",
  }),
  choice("overlayfs", "verity", ["off"], { refusedValues: ["on", "require"], refused: "digests of data files are not checked" }),
  word("overlayfs", "userxattr", (into) => (into.userXattr = true)),
  word("overlayfs", "volatile", (into) => (into.volatile = true)),
  // Overlayfs uses the credentials of the mounter with either word, and without both.
  word("overlayfs", "override_creds"),
  word("overlayfs", "nooverride_creds"),
  onOff("sluice", "foreign_marks", "foreignMarks"),
  word("sluice", "coherent_readers", (into) => (into.coherentReaders = true)),
  word("sluice", "shared_lower", (into) => (into.sharedLower = true)),
  { of: "fuse-overlayfs", name: "timeout", values: "SECONDS", apply: timeout },
  choice("fuse-overlayfs", "fsync", ["0", "1", "auto", "volatile"], {
    set: (into, value) => (into.volatile = value === "0" || value === "volatile"),
    refusedValues: ["strict"],
    refused: "the copy of a directory shows before it is on the disk",
  }),
  ...shownOptions,
  choice("fuse-overlayfs", "xattr_permissions", ["0"], { refusedValues: ["1", "2"], refused: "owners and modes are those of the layers" }),
  ...no("fuse-overlayfs", "inode numbers have 64 bits", "ino32_t"),
  ...no("fuse-overlayfs", "Sluice has none", "plugins"),
  ...unneeded("fuse-overlayfs", "clone_fd", "fast_ino", "writeback", "threaded", "max_idle_threads", "max_threads"),
  ...unneeded("fuse-overlayfs", "auto_unmount", "big_writes"),
  once("mount", "fsname", "source"),
  // The commands recognize their mounts by the type, so it stays.
  ...unneeded("mount", "subtype"),
  flag("ro", MS.RDONLY, true),
  flag("rw", MS.RDONLY, false),
  flag("nosuid", MS.NOSUID, true),
  flag("suid", MS.NOSUID, false),
  flag("nodev", MS.NODEV, true),
  flag("dev", MS.NODEV, false),
  flag("noexec", MS.NOEXEC, true),
  flag("exec", MS.NOEXEC, false),
  flag("sync", MS.SYNCHRONOUS, true),
  flag("async", MS.SYNCHRONOUS, false),
  flag("dirsync", MS.DIRSYNC, true),
  flag("nosymfollow", MS.NOSYMFOLLOW, true),
  flag("symfollow", MS.NOSYMFOLLOW, false),
  flag("noatime", MS.NOATIME, true),
  flag("atime", MS.NOATIME, false),
  flag("nodiratime", MS.NODIRATIME, true),
  flag("diratime", MS.NODIRATIME, false),
  flag("relatime", MS.RELATIME, true),
  flag("norelatime", MS.RELATIME, false),
  flag("strictatime", MS.STRICTATIME, true),
  flag("nostrictatime", MS.STRICTATIME, false),
  flag("lazytime", MS.LAZYTIME, true),
  flag("nolazytime", MS.LAZYTIME, false),
  word("mount", "defaults"),
  word("mount", "default_permissions"),
  word("mount", "allow_other", (into) => (into.allowOther = true)),
  ...no("mount", "every user may use the mount, as permissions say", "allow_root"),
  word("mount", "nonempty", (into) => (into.nonEmpty = true)),
  ...unneeded("mount", "_netdev", "nofail", "auto", "noauto", "user", "nouser", "users", "nousers"),
  ...unneeded("mount", "owner", "noowner", "group", "nogroup", "comment"),
  ...unneeded("mount", "silent", "loud", "nomand", "noiversion"),
  ...no("mount", "Linux has no mandatory locks any more", "mand"),
  ...no("mount", "a FUSE mount has no change counters (i_version)", "iversion"),
  ...["context", "fscontext", "defcontext", "rootcontext"].map(label),
];
