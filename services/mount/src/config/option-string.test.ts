import { MS } from "@sluice/native";
import { expect, test } from "vitest";
import { parseOptionStrings } from "./option-string.js";

test("an overlayfs string with escapes", () => {
  const parsed = parseOptionStrings(["lowerdir=/a\\:1:/b,upperdir=/u\\,v,workdir=/w,noatime,ro"]);
  expect(parsed).toMatchObject({ lowers: ["/a:1", "/b"], upper: "/u,v", work: "/w", setFlags: MS.NOATIME | MS.RDONLY });
});

test("later words win over earlier ones", () => {
  expect(parseOptionStrings(["nosuid,ro", "suid,rw"])).toMatchObject({ setFlags: 0, clearFlags: MS.NOSUID | MS.RDONLY });
});

test.each([
  "fastest",
  "lowerdir",
  "lowerdir=",
  "ro=1",
  "timeout=soon",
  "xino=maybe",
  "redirect_dir=always",
  "uuid=on",
  "override_creds=on",
  "fsync=always",
])("%s is an error that names it", (word) => {
  expect(() => parseOptionStrings([word])).toThrow(`-o ${word}: `);
});

test.each(["verity=on", "verity=require", "nfs_export=on", "plugins=x", "xattr_permissions=2", "fsync=strict", "mand", "iversion"])(
  "%s is refused, and why",
  (word) => {
    expect(() => parseOptionStrings([word])).toThrow(/option is not supported: \S/);
  },
);

test.each([
  "",
  "defaults",
  "index=off,metacopy=off,verity=off,nfs_export=off,xino=auto,uuid=null",
  "default_permissions,allow_other",
  "override_creds",
  "nooverride_creds",
  "subtype=sluice,fsname=x",
  "subtype=other",
  "nosymfollow,symfollow,silent,loud,nomand,noiversion,nousers,noowner,nogroup",
  "clone_fd,max_idle_threads=4,threaded=1,writeback=1,fast_ino=1,auto_unmount",
  "_netdev,nofail,noauto,user,x-systemd.automount,X-mount.mkdir,comment=y",
])("%s is understood", (text) => {
  expect(() => parseOptionStrings([text])).not.toThrow();
});

test.each([
  ["fsync=volatile", true],
  ["fsync=0", true],
  ["fsync=auto", false],
  ["fsync=1", false],
  ["volatile,fsync=auto", false],
  ["fsync=auto,volatile", true],
])("%s: volatile is %s", (text, volatile) => {
  expect(parseOptionStrings([text]).volatile).toBe(volatile);
});

test.each([
  ['context="u:r:t:s0:c1,c2",ro', [["context", "u:r:t:s0:c1,c2"]]],
  ["ro,context=u:r:t:s0", [["context", "u:r:t:s0"]]],
  ["fscontext=u:r:t:s0:c1\\,c2", [["fscontext", "u:r:t:s0:c1,c2"]]],
  [
    'defcontext="a:b:c",rootcontext="d:e:f:s0:c1,c2,c3",context="x"',
    [
      ["defcontext", "a:b:c"],
      ["rootcontext", "d:e:f:s0:c1,c2,c3"],
      ["context", "x"],
    ],
  ],
  ['context="a",context="b"', [["context", "b"]]],
])("%s: the labels", (text, labels) => {
  expect([...parseOptionStrings([text]).labels]).toEqual(labels);
});

test.each(["context", "context=", 'context=""', 'context="a', 'context=a"b', 'context="a,ro'])("%s is no label", (text) => {
  expect(() => parseOptionStrings([text])).toThrow(/-o context/);
});

test("takes layers one by one, whose names need no escape except for the comma", () => {
  const parsed = parseOptionStrings(["lowerdir+=/a:b,lowerdir+=/c\\,d,datadir+=/data"]);
  expect(parsed).toMatchObject({ lowers: ["/a:b", "/c,d"], dataLowers: ["/data"] });
});

test("a layer by itself is taken as written: of the escapes only that of the comma is one", () => {
  const parsed = parseOptionStrings(["lowerdir+=/a\\:b,lowerdir+=/c\\\\d,datadir+=/e\\:f\\,g"]);
  expect(parsed).toMatchObject({ lowers: ["/a\\:b", "/c\\\\d"], dataLowers: ["/e\\:f,g"] });
});

test.each([
  "lowerdir=/a,lowerdir+=/b",
  "lowerdir+=/a,lowerdir=/b",
  "datadir+=/d,lowerdir+=/a",
  "lowerdir=/a,lowerdir=/b",
  "lowerdir=/a,datadir+=/d",
])("%s is an error", (text) => {
  expect(() => parseOptionStrings([text])).toThrow(/-o (lowerdir|datadir)/);
});
