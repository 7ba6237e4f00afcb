/** Names of the largest length and of any bytes, and paths longer than PATH_MAX. */
import { native } from "@sluice/native";
import { AT, O } from "@sluice/vfs";
import { dir } from "../../tree/tree.js";
import type { Case } from "../case.js";
import { errorName } from "../../probe/recorder.js";

const LONG = "n".repeat(255);
const TOO_LONG = "n".repeat(256);
/** Not UTF-8, and with everything that a shell would misread. */
const ODD = [
  "\xff\xfe\x80",
  "caf\xe9",
  "new\nline",
  " leading",
  "tab\there",
  "-rf",
  "*",
  "\\",
  "\x01\x7f",
  "...",
  ":",
  "\u00fc".normalize("NFD").replace(/[^\0-\xff]/g, "\xcc"),
];

export const nameCases: readonly Case[] = [
  {
    name: "names of 255 bytes work and of 256 are too long",
    lower: { [LONG]: "lower", d: dir({ [LONG]: dir({ x: "1" }) }) },
    run(t) {
      t.read(LONG);
      t.list("d");
      t.chmod(LONG, 0o600);
      t.unlink(LONG);
      t.create(LONG, "again");
      t.stat(TOO_LONG);
      t.create(TOO_LONG);
      t.mkdir(TOO_LONG);
      t.symlink("x", TOO_LONG);
      t.mknod(TOO_LONG, 0o010644);
      t.link(LONG, TOO_LONG);
      t.rename(LONG, TOO_LONG);
      t.unlink(TOO_LONG);
      t.rmdir(TOO_LONG);
      t.open(TOO_LONG, O.CREAT | O.RDWR);
      t.stat("n".repeat(1500));
      t.rename(`d/${LONG}`, `d/${"m".repeat(255)}`);
      t.list(`d/${"m".repeat(255)}`);
    },
  },
  {
    name: "names that are not UTF-8 and odd ones",
    lower: Object.fromEntries(ODD.map((name) => [`low${name}`, "lower"])),
    run(t) {
      for (const name of ODD) {
        t.read(`low${name}`);
        t.create(name, "x");
        t.rename(`low${name}`, `moved${name}`);
        t.symlink(name, `link${name}`);
        t.unlink(name);
      }
      t.mkdir("d\xff");
      t.create("d\xff/f\xfe", "x");
      t.list("d\xff");
      t.list();
    },
  },
  {
    name: "a redirect of a name that is not UTF-8",
    lower: { "d\xff\x01": dir({ "f\xfe": "x" }), p: dir() },
    run(t) {
      t.rename("d\xff\x01", "p/new\xfd");
      t.list("p/new\xfd");
      t.read("p/new\xfd/f\xfe");
    },
  },
  {
    name: "paths longer than PATH_MAX are reached step by step",
    run(t) {
      const depth = 40;
      let fd = native.openat(AT.FDCWD, t.root, O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
      for (let i = 0; i < depth && fd >= 0; i++) {
        const made = native.mkdirat(fd, LONG, 0o755);
        const next = native.openat(fd, LONG, O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
        native.close(fd);
        fd = made < 0 ? made : next;
      }
      t.note("deepest directory", fd < 0 ? errorName(fd) : "ok");
      const file = native.openat(fd, "f", O.CREAT | O.RDWR | O.CLOEXEC, 0o644);
      t.write(file, "deep");
      t.fstat(file);
      t.note("rename", native.renameat2(fd, "f", fd, "g", 0));
      t.note("symlink", native.symlinkat("g", fd, "l"));
      t.note("unlink", native.unlinkat(fd, "l", 0));
      t.note("chmod", native.fchmodat(fd, "g", 0o600, 0));
      t.fstat(file);
      t.note("up again", native.renameat2(fd, "g", AT.FDCWD, t.at("g"), 0));
      t.read("g");
    },
  },
  {
    name: "symlinks of every length",
    run(t) {
      for (const length of [1, 60, 255, 1000, 4000, 4095]) {
        t.symlink("s".repeat(length), `l${length}`);
        t.stat(`l${length}`);
        t.readlink(`l${length}`);
      }
      t.symlink("s".repeat(4096), "l4096");
      t.symlink("", "empty");
    },
  },
];
