/** Permissions, and the attributes that new objects inherit: other users, umask, setgid directories, sticky ones, default ACLs. */
import { O, S } from "@sluice/vfs";
import { dir, file, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

const USER = { uid: 1000, gid: 1000 };
const MEMBER = { uid: 1001, gid: 1001, groups: [2000] };
/** u::rwx u:1000:rwx g::r-x m::rwx o::--- */
const DEFAULT_ACL = Buffer.from("0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000000ffffffff", "hex").toString(
  "latin1",
);
const WITH_DEFAULT = { mode: 0o777, xattrs: { "system.posix_acl_default": DEFAULT_ACL } };

export const permissionCases: readonly Case[] = [
  {
    name: "other users make objects that are theirs",
    lower: { d: dir({ gone: "x" }, { mode: 0o777 }), shut: dir({ f: "x" }, { mode: 0o700 }), ro: dir({ f: "x" }, { mode: 0o755 }) },
    upper: { d: dir({ gone: whiteout() }, { mode: 0o777 }) },
    run(t) {
      t.as(USER, () => {
        t.create("d/f", "mine");
        t.mkdir("d/s");
        t.symlink("x", "d/l");
        t.mknod("d/p", S.IFIFO | 0o666);
        t.mknod("d/c", S.IFCHR | 0o666, 1, 3);
        t.create("d/gone", "over a whiteout");
        t.link("d/f", "d/h");
        t.read("shut/f");
        t.list("shut");
        t.create("ro/x");
        t.rename("d/f", "d/g");
        t.unlink("ro/f");
      });
      for (const name of ["g", "s", "l", "p", "gone", "h"]) t.stat(`d/${name}`);
    },
  },
  {
    name: "a setgid directory passes on its group",
    lower: { d: dir({ gone: "x", gonedir: dir({}) }, { mode: 0o2777, gid: 2000 }) },
    upper: { d: dir({ gone: whiteout(), gonedir: whiteout() }, { mode: 0o2777, gid: 2000 }) },
    run(t) {
      for (const [who, identity] of [
        ["user", USER],
        ["member", MEMBER],
        ["root", { uid: 0, gid: 0 }],
      ] as const) {
        t.as(identity, () => {
          t.withUmask(0, () => {
            t.create(`d/${who}-file`, "", 0o2770);
            t.create(`d/${who}-plain`, "", 0o666);
            t.mkdir(`d/${who}-dir`, 0o755);
            t.mknod(`d/${who}-pipe`, S.IFIFO | 0o2777);
            t.symlink("x", `d/${who}-link`);
            if (who === "user") t.create("d/gone", "", 0o2771);
            if (who === "user") t.mkdir("d/gonedir", 0o711);
          });
          const fd = t.open("d", O.TMPFILE | O.RDWR, 0o2770);
          t.fstat(fd);
        });
        for (const kind of ["file", "plain", "dir", "pipe", "link"]) t.stat(`d/${who}-${kind}`);
      }
      t.stat("d/gone");
      t.stat("d/gonedir");
    },
  },
  {
    name: "a default ACL sets the modes of what is made in it",
    lower: { d: dir({ gone: "x", gonedir: dir({}) }, WITH_DEFAULT) },
    upper: { d: dir({ gone: whiteout(), gonedir: whiteout() }, WITH_DEFAULT) },
    run(t) {
      t.withUmask(0o027, () => {
        t.as(USER, () => {
          for (const name of ["f", "gone"]) t.create(`d/${name}`, "", 0o666);
          for (const name of ["s", "gonedir"]) t.mkdir(`d/${name}`, 0o777);
          t.mknod("d/p", S.IFIFO | 0o666);
          t.symlink("x", "d/l");
          const fd = t.open("d", O.TMPFILE | O.RDWR, 0o666);
          t.fstat(fd);
        });
      });
      for (const name of ["f", "gone", "s", "gonedir", "p"]) {
        t.stat(`d/${name}`);
        t.getxattr(`d/${name}`, "system.posix_acl_access");
        t.getxattr(`d/${name}`, "system.posix_acl_default");
      }
    },
  },
  {
    name: "ACLs decide and follow chmod",
    lower: { f: file("x", { mode: 0o600 }), d: dir({}) },
    run(t) {
      t.setxattr("f", "system.posix_acl_access", DEFAULT_ACL);
      t.stat("f");
      t.as(USER, () => t.read("f"));
      t.as(MEMBER, () => t.read("f"));
      t.chmod("f", 0o600);
      t.getxattr("f", "system.posix_acl_access");
      t.as(USER, () => t.read("f"));
      t.setxattr("d", "system.posix_acl_default", DEFAULT_ACL);
      t.mkdir("d/s", 0o777);
      t.getxattr("d/s", "system.posix_acl_access");
      t.removexattr("d", "system.posix_acl_default");
      t.mkdir("d/t", 0o777);
      t.listxattr("d/t");
      t.setxattr("f", "system.posix_acl_default", DEFAULT_ACL);
      t.setxattr("f", "system.posix_acl_access", "garbage");
      t.removexattr("f", "system.posix_acl_access");
      t.listxattr("f");
      t.as(USER, () => t.setxattr("f", "system.posix_acl_access", DEFAULT_ACL));
    },
  },
  {
    name: "a sticky directory protects other peoples names",
    lower: { d: dir({ theirs: file("x", { uid: 1001 }), mine: file("x", { uid: 1000 }), sub: dir({}, { uid: 1001 }) }, { mode: 0o1777 }) },
    run(t) {
      t.as(USER, () => {
        t.unlink("d/theirs");
        t.rmdir("d/sub");
        t.rename("d/theirs", "d/x");
        t.rename("d/mine", "d/theirs");
        t.rename("d/mine", "d/x");
        t.unlink("d/x");
      });
      t.as(MEMBER, () => t.unlink("d/theirs"));
      t.list("d");
    },
  },
  {
    name: "chmod and chown by owners and others",
    lower: { f: file("x", { uid: 1001, gid: 1001, mode: 0o644 }), g: file("x", { uid: 1001, gid: 2000, mode: 0o644 }) },
    run(t) {
      t.as(USER, () => {
        t.chmod("f", 0o777);
        t.chown("f", 1000, -1);
        t.utimes("f", 900_000_000);
        t.utimesNow("f");
      });
      t.as(MEMBER, () => {
        t.chmod("f", 0o2755);
        t.chmod("g", 0o2755);
        t.chown("f", -1, 2000);
        t.chown("f", -1, 3000);
        t.chown("f", 1000, -1);
        t.utimes("f", 900_000_000);
      });
      t.stat("f");
      t.stat("g");
      t.chmod("f", 0o666);
      t.as(USER, () => t.utimesNow("f"));
      t.as(USER, () => t.utimes("f", 900_000_001));
      t.stat("f");
    },
  },
  {
    name: "chmod of a setgid file by someone outside its group drops the bit",
    lower: { f: file("x", { uid: 1000, gid: 2000, mode: 0o644 }), d: dir({}, { uid: 1000, gid: 2000 }) },
    run(t) {
      t.as(USER, () => {
        t.chmod("f", 0o2755);
        t.chmod("d", 0o2755);
      });
      t.stat("f");
      t.stat("d");
    },
  },
  {
    name: "supplementary groups open what the group may",
    lower: { f: file("x", { gid: 2000, mode: 0o060 }), d: dir({}, { gid: 2000, mode: 0o070 }) },
    run(t) {
      t.as(USER, () => t.read("f"));
      t.as(MEMBER, () => {
        t.read("f");
        const fd = t.open("f", O.RDWR);
        t.write(fd, "member");
        t.create("d/x", "y");
        t.stat("d/x");
      });
    },
  },
  {
    name: "files without read permission can be copied up by their writer",
    lower: { f: file("secret", { mode: 0o222 }), g: file("locked", { mode: 0o400, uid: 1000 }) },
    run(t) {
      t.as(USER, () => {
        t.read("f");
        const fd = t.open("f", O.WRONLY | O.APPEND);
        t.write(fd, " more");
        t.open("g", O.RDWR);
        t.chmod("g", 0o600);
        const own = t.open("g", O.RDWR);
        t.pwrite(own, "L", 0);
      });
      t.read("f");
      t.read("g");
    },
  },
];
