/** Paths that end with a slash or go through links and dots: each call on each kind of object. */
import { dir, fifo, symlink, type Tree } from "../../tree/tree.js";
import type { Case } from "../case.js";

const CALLS = [
  'open(my $f, "<", $_)',
  "sysopen(my $f, $_, 0101)",
  "sysopen(my $f, $_, 0200000)",
  "opendir(my $d, $_)",
  "mkdir($_)",
  "rmdir($_)",
  "unlink($_)",
  'symlink("x", $_)',
  'link("there", $_)',
  'link($_, "linked")',
  'rename("there", $_)',
  'rename("spare", $_)',
  'rename($_, "moved")',
  'rename($_, "moved/")',
  "chmod(0700, $_)",
  "chown(1, 1, $_)",
  "utime(1, 1, $_)",
  "truncate($_, 1)",
  "readlink($_)",
  "lstat($_)",
  "stat($_)",
];
const ENDINGS = { "a slash": "/", "two slashes": "//", "a dot": "/.", "two dots": "/.." };
const KINDS = ["file", "empty", "full", "pipe", "to-file", "to-directory", "dangling", "to-itself", "missing", "full/x", "missing/x"];

function objects(): Tree {
  return {
    file: "file",
    there: "there",
    empty: dir(),
    spare: dir(),
    full: dir({ x: "x" }),
    pipe: fifo(),
    "to-file": symlink("file"),
    "to-directory": symlink("full"),
    dangling: symlink("nowhere"),
    "to-itself": symlink("to-itself"),
  };
}

function cases(layer: "lower" | "upper"): Case[] {
  const tree: Tree = Object.fromEntries(CALLS.map((_, i) => [`${i}`, dir(objects())]));
  return Object.entries(ENDINGS).map(([called, ending]) => ({
    name: `each call on a path of the ${layer} layer that ends with ${called}`,
    ...(layer === "lower" ? { lower: tree } : { upper: tree }),
    run(t) {
      // Some calls create a missing one, so it comes last.
      const paths = KINDS.map((kind) => `"${kind}${ending}"`).join(", ");
      // One process makes all calls: 168 starts of perl on each mount would take longer than the calls.
      const each = CALLS.map(
        (call, i) => `chdir "$top/${i}" or die $!; for (${paths}) { my $r = ${call}; print '${call}', " $_ ", $r ? "ok" : $! + 0, "\\n" }`,
      );
      t.perl("each call", `use Cwd; my $top = getcwd(); ${each.join(" ")}`);
    },
  }));
}

export const pathEndingCases: readonly Case[] = [...cases("lower"), ...cases("upper")];
