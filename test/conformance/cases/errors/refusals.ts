/** Refused calls with their errors: by ownership, by the target of a path, by the kind of an object. */
import { O, RENAME, S, UTIME } from "@sluice/vfs";
import { dir, file, symlink } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const OWNER = { uid: 1000, gid: 1000 };
const OTHER = { uid: 65_534, gid: 65_534 };
const THIRD = { uid: 1002, gid: 1002, groups: [3000] };

/** Every call that takes one name. */
const CALLS: Readonly<Record<string, (t: Probe, path: string) => void>> = {
  open: (t, path) => t.close(t.open(path, O.RDONLY)),
  "open to write": (t, path) => t.close(t.open(path, O.WRONLY)),
  create: (t, path) => t.create(path),
  mkdir: (t, path) => t.mkdir(path),
  mknod: (t, path) => t.mknod(path, S.IFIFO | 0o644),
  symlink: (t, path) => t.symlink("nowhere", path),
  "link from": (t, path) => t.link(path, "linked"),
  "link to": (t, path) => t.link("there", path),
  "rename from": (t, path) => t.rename(path, "renamed"),
  "rename to": (t, path) => t.rename("there", path),
  "exchange with": (t, path) => t.rename("there", path, RENAME.EXCHANGE),
  unlink: (t, path) => t.unlink(path),
  rmdir: (t, path) => t.rmdir(path),
  chmod: (t, path) => t.chmod(path, 0o644),
  chown: (t, path) => t.chown(path, 0, 0),
  utimes: (t, path) => t.utimes(path, 900_000_000),
  truncate: (t, path) => t.perl("truncate", "truncate($ARGV[0], 3) or print $!", path),
  readlink: (t, path) => t.readlink(path),
  stat: (t, path) => t.stat(path),
  setxattr: (t, path) => t.setxattr(path, "user.x", "1"),
};

const PATHS: Readonly<Record<string, string>> = {
  "through a file": "there/x",
  "through a missing directory": "missing/x",
  "through a symlink to itself": "loop/x",
  "through a dangling symlink": "dangling/x",
  "through a directory nobody may search": "locked/x",
  "of a name that is too long": "n".repeat(256),
  "of the longest name": "n".repeat(255),
  "below a name that is too long": `${"n".repeat(256)}/x`,
  "of an empty directory": "empty",
  "of a directory": "full",
  "that ends with a slash": "there/",
  "of a missing directory that ends with a slash": "missing/",
  "that ends with a dot": "empty/.",
  "that ends with two dots": "full/..",
};

function along([what, path]: [string, string]): Case {
  return {
    name: `every call on a path ${what}`,
    lower: {
      there: file("content", { mode: 0o666 }),
      loop: symlink("loop"),
      dangling: symlink("nowhere"),
      locked: dir({ x: file("x", { mode: 0o666 }) }, { mode: 0o700 }),
      empty: dir({}, { mode: 0o777 }),
      full: dir({ x: "x" }, { mode: 0o777 }),
      d: dir({ x: "x" }),
    },
    run(t) {
      t.chmod(".", 0o777);
      for (const call of Object.values(CALLS)) {
        t.as(OTHER, () => call(t, path));
        call(t, path);
        t.list();
        // Restores the state for the next call.
        t.unlink(path);
        t.rmdir(path);
        t.unlink("linked");
        t.rename("renamed", "there", RENAME.NOREPLACE);
        t.create("there", "again", 0o666);
        t.mkdir("empty", 0o777);
      }
    },
  };
}

const STICKY_ACTS: Readonly<Record<string, (t: Probe, name: string) => void>> = {
  unlink: (t, name) => t.unlink(`d/${name}`),
  rmdir: (t, name) => t.rmdir(`d/${name}`),
  "rename away": (t, name) => t.rename(`d/${name}`, `d/${name}-moved`),
  "rename out": (t, name) => t.rename(`d/${name}`, `out/${name}`),
  "rename onto": (t, name) => t.rename(name.includes("file") ? "out/mine" : "out/empty", `d/${name}`),
  exchange: (t, name) => t.rename("out/mine", `d/${name}`, RENAME.EXCHANGE),
};

export const refusalCases: readonly Case[] = [
  ...Object.entries(PATHS).map(along),
  ...[0, 1000, 1002].map((directoryOwner) => ({
    name: `what a sticky directory of ${directoryOwner} lets the user 1002 do`,
    lower: {
      d: dir(
        Object.fromEntries(
          ["file", "sub"].flatMap((kind) =>
            [0, 1000, 1002].flatMap((uid) =>
              Object.keys(STICKY_ACTS).map((_, i) => [`${kind}-${uid}-${i}`, kind === "file" ? file("x", { uid }) : dir({}, { uid })]),
            ),
          ),
        ),
        { mode: 0o1777, uid: directoryOwner },
      ),
      out: dir({ mine: file("x", { uid: 1002 }), empty: dir({}, { uid: 1002 }) }, { mode: 0o777 }),
    },
    run(t: Probe) {
      for (const kind of ["file", "sub"]) {
        for (const uid of [0, 1000, 1002]) {
          for (const [i, act] of Object.values(STICKY_ACTS).entries()) t.as(THIRD, () => act(t, `${kind}-${uid}-${i}`));
        }
      }
      t.list("d");
      t.list("out");
    },
  })),
  {
    name: "who may set which times",
    lower: {
      mine: file("x", { uid: 1000, mode: 0o644 }),
      open: file("x", { mode: 0o666 }),
      closed: file("x", { mode: 0o644 }),
      d: dir({}, { mode: 0o777 }),
    },
    run(t) {
      for (const who of [OWNER, OTHER]) {
        for (const path of ["mine", "open", "closed", "d", "missing"]) {
          t.as(who, () => {
            t.utimes(path, 900_000_000, 1);
            t.utimes(path, 0, UTIME.NOW);
            t.utimes(path, 0, UTIME.OMIT);
            t.utimes(path, 900_000_000, 1_000_000_000);
          });
        }
      }
    },
  },
  {
    name: "who may give a file to whom",
    lower: {
      f: file("x", { uid: 1002, gid: 1002, mode: 0o6755 }),
      d: dir({}, { uid: 1002, gid: 1002, mode: 0o6755 }),
      l: symlink("f", { uid: 1002, gid: 1002 }),
      theirs: file("x", { uid: 1000, mode: 0o666 }),
    },
    run(t) {
      for (const path of ["f", "d", "l", "theirs", "missing"]) {
        t.as(THIRD, () => {
          for (const [uid, gid] of [
            [1002, 1002],
            [-1, -1],
            [1002, 3000],
            [-1, 3000],
            [1000, -1],
            [-1, 1000],
            [0, 0],
          ] as const)
            t.chown(path, uid, gid);
        });
        t.stat(path);
        t.chown(path, 7, -1);
        t.stat(path);
        t.chown(path, -1, 8);
        t.stat(path);
      }
    },
  },
  {
    name: "who may move a directory",
    lower: {
      from: dir(
        { theirs: dir({ x: "1" }, { uid: 1000 }), mine: dir({ x: "1" }, { uid: 1002 }), shared: dir({}, { uid: 1000, mode: 0o777 }) },
        { mode: 0o777 },
      ),
      to: dir({}, { mode: 0o777 }),
      locked: dir({ x: "1" }),
    },
    run(t) {
      t.as(THIRD, () => {
        // Its ".." changes, so it must be writable itself; under another name in the same directory it need not.
        for (const name of ["theirs", "mine", "shared"]) t.rename(`from/${name}`, `to/${name}`);
        t.rename("from/theirs", "from/renamed");
        t.rename("to/mine", "locked/mine");
        t.rename("locked/x", "to/x");
        t.link("locked/x", "to/x");
      });
      t.list("from");
      t.list("to");
    },
  },
  {
    name: "who may make which special file",
    lower: { d: dir({}, { mode: 0o777 }), closed: dir({}) },
    run(t) {
      t.as(OTHER, () => {
        for (const place of ["d", "closed"]) {
          t.mknod(`${place}/pipe`, S.IFIFO | 0o644);
          t.mknod(`${place}/socket`, S.IFSOCK | 0o644);
          t.mknod(`${place}/file`, S.IFREG | 0o644);
          t.mknod(`${place}/char`, S.IFCHR | 0o644, 1, 3);
          t.mknod(`${place}/block`, S.IFBLK | 0o644, 1, 3);
        }
      });
      for (const mode of [S.IFCHR, S.IFBLK, S.IFDIR, 0]) t.mknod(`d/root-${mode}`, mode | 0o600, 1, 3);
      t.list("d");
    },
  },
  {
    name: "chmod by an owner outside the group and of links",
    lower: {
      f: file("x", { uid: 1002, gid: 1002 }),
      g: file("x", { uid: 1002, gid: 77 }),
      d: dir({}, { uid: 1002, gid: 77 }),
      l: symlink("f"),
      theirs: "x",
    },
    run(t) {
      t.as(THIRD, () => {
        for (const path of ["f", "g", "d", "l", "theirs", "missing"]) {
          for (const mode of [0o1644, 0o2755, 0o4711, 0o7777, 0]) t.chmod(path, mode);
          t.stat(path);
        }
      });
      t.stat("f");
    },
  },
  {
    name: "a program that runs is not written to",
    lower: { d: dir({}) },
    run(t) {
      t.perl(
        "open and truncate while it runs",
        'system("cp /bin/sleep d/run"); my $p = fork; if (!$p) { exec "d/run", "300" } ' +
          'select(undef, undef, undef, 0.01) until readlink("/proc/$p/exe") =~ m{/d/run$}; ' +
          'print open(F, "+<", "d/run") ? "opened" : $!, " "; print truncate("d/run", 0) ? "truncated" : $!, " "; ' +
          'print chmod(0700, "d/run"), unlink("d/run"), "\\n"; kill 9, $p; waitpid $p, 0;',
      );
    },
  },
];
