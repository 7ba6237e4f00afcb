import { expect, test } from "vitest";
import type { MountInvocation } from "./invocation.js";
import { mountArguments, ownProcessArguments } from "./mount-arguments.js";

function invocation(options: string, source?: string, byMount = false): MountInvocation {
  return { kind: "mount", source, mountpoint: "-m", options: [options], foreground: false, debug: false, fake: false, byMount };
}

function wordsOf(options: string, initial = true, source?: string): string[] {
  const argv = ownProcessArguments(mountArguments(invocation(options, source), initial));
  expect([argv[0], ...argv.slice(-3)]).toEqual(["-o", "--host-service=off", "--", "-m"]);
  return (argv[1] as string).split(/(?<!\\),/);
}

test("a directory is not renamed unless that is asked for, and marks of others are read", () => {
  expect(wordsOf("lowerdir=a")).toEqual(["foreign_marks=on", "redirect_dir=off", "nonempty", "lowerdir=a"]);
  expect(wordsOf("lowerdir=a,redirect_dir=on,foreign_marks=off")).toEqual([
    "nonempty",
    "lowerdir=a",
    "redirect_dir=on",
    "foreign_marks=off",
  ]);
});

test("through mount(8) a directory is renamed, as by overlayfs", () => {
  const { words } = mountArguments(invocation("lowerdir=a", "sluice", true), true);
  expect(words).toBe("foreign_marks=on,nonempty,lowerdir=a,fsname=sluice");
});

test("says nothing of redirects where the mount makes none: with userxattr, or in a user namespace", () => {
  expect(wordsOf("lowerdir=a", true)).toContain("redirect_dir=off");
  expect(wordsOf("lowerdir=a", false)).not.toContain("redirect_dir=off");
  expect(wordsOf("lowerdir=a,userxattr", true)).not.toContain("redirect_dir=off");
});

test("the source is the name of the mount, unless one is given", () => {
  expect(wordsOf("lowerdir=a", true, "x,y")).toContain("fsname=x\\,y");
  expect(wordsOf("lowerdir=a,fsname=z", true, "x").filter((word) => word.startsWith("fsname="))).toEqual(["fsname=z"]);
});

test("Sluice's own words are flags of sluice mount", () => {
  const made = mountArguments(invocation("lowerdir=a,policy=/p.yaml,on_outage=mediate,log=/l,log_level=info"), true);
  expect(ownProcessArguments(made).slice(2, -3)).toEqual(["--policy=/p.yaml", "--on-outage=mediate", "--log-level=info"]);
  expect(made.logFile).toBe("/l");
});

test("ranges may be separated by commas, as the manual page has it", () => {
  expect(wordsOf("uidmapping=0:1000:1,1:110000:65536,lowerdir=a")).toContain("uidmapping=0:1000:1:1:110000:65536");
  expect(wordsOf("lowerdir=a,1:2:3")).toContain("1:2:3");
});

test("an escaped comma stays in its word", () => {
  expect(wordsOf("lowerdir=a\\,b:c,ro")).toContain("lowerdir=a\\,b:c");
});

test("a work directory without an upper layer is told of, and dropped", () => {
  const made = mountArguments(invocation("lowerdir=a,workdir=w"), true);
  expect(made.words).not.toContain("workdir");
  expect(made.notices).toHaveLength(1);
});

test.each(["lowerdir=//plugin/data/path", "lowerdir=/a://plugin/data/path"])("%s is refused", (options) => {
  expect(() => mountArguments(invocation(options), true)).toThrow(/plugin/);
});

test("debug stays in the foreground", () => {
  expect(mountArguments(invocation("lowerdir=a,debug"), true)).toMatchObject({ foreground: true });
});
