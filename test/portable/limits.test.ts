/** Each declared limit on a real mount, so that the table in the documentation is true. */
import { engineCapabilities } from "@sluice/engine-fuse-native";
import { file, mountSluice, plant, policyOf, requires, runScript, scratch, type SluiceMount } from "@sluice/testkit";
import type { EngineCapabilityName } from "@sluice/vfs";
import { expect, test as plainTest } from "vitest";
import { excludedCases, knownDifferences } from "./known-differences.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "fuse-native", "command perl", "command lsattr", "command getfattr");

async function mounted(engine: string, policy?: string): Promise<SluiceMount> {
  const lower = plant(scratch(), { f: file("content"), "d/one": file("x", { mode: 0o666 }) });
  const upper = plant(scratch(), {});
  return mountSluice({ lowers: [lower], upper, args: ["--engine", engine], ...(policy === undefined ? {} : { policy }) });
}

async function said(mount: SluiceMount, script: string): Promise<string> {
  const { stdout, stderr } = await runScript(["sh", "-c", script], { cwd: mount.mountpoint });
  return `${stdout}${stderr}`.trim();
}

/** The output of a script on this engine, and on the one that has the capability. */
interface Witness {
  script: string;
  portable: RegExp;
  devfuse: RegExp;
  policy?: string;
}

const NO_READING = policyOf("grant", { name: "w", path: "new", access: ["read"], effect: "deny" });
const witnesses: Partial<Record<EngineCapabilityName, Witness>> = {
  passthrough: { script: "exec 3< f; getfattr -n user.sluice.mode --only-values f", portable: /^mediated$/, devfuse: /^passthrough$/ },
  callerIdentity: {
    script: "chmod 777 d; setpriv --reuid=7 --regid=7 --clear-groups mkdir d/new; stat -c %u d/new",
    portable: /^0$/,
    devfuse: /^7$/,
  },
  nanosecondTimes: { script: "touch -d @5.123456789 f; stat -c %.Y f", portable: /^5\.123000000$/, devfuse: /^5\.123456789$/ },
  singleTime: { script: "touch -m -d @5 f; stat -c %Y f", portable: /^[1-9]\d{8,}$/, devfuse: /^5$/ },
  hardLinksShareInode: {
    script: 'ln f g; perl -e \'open(A,"<","f"); open(B,"<","g"); flock(A,6); print flock(B,6) ? "both" : "one"\'',
    portable: /^both$/,
    devfuse: /^one$/,
  },
  createFlags: { script: "echo x > new; ls", portable: /Permission denied/, devfuse: /^d\nf\nnew$/, policy: NO_READING },
  ioctl: { script: "lsattr f", portable: /Operation not supported/, devfuse: /^[-a-zA-Z]+ f$/ },
  suidAndDevices: { script: 'grep " $PWD " /proc/mounts', portable: /nosuid,nodev/, devfuse: /rw,relatime/ },
};

for (const [limit, { script, portable, devfuse, policy }] of Object.entries(witnesses)) {
  test(`${limit}: ${script}`, async () => {
    expect(await said(await mounted("fuse-native", policy), script)).toMatch(portable);
    expect(await said(await mounted("devfuse", policy), script)).toMatch(devfuse);
  });
}

/** Limits that no program on the mount can see by itself, with the reason. */
const unseen: Partial<Record<EngineCapabilityName, string>> = {
  notifications: "the port's methods do nothing: packages/engine-fuse-native/src/start-engine.ts",
  interrupt: "that a caller waits on cannot be told from one that was not interrupted in time",
  atomicReplace: "shows only where a server is killed between the two renames: callers wait for both",
  inode64: "takes inode numbers that no file system here gives; the folding has a unit test",
  copyFileRange: "the kernel copies instead, with the same outcome: the conformance case passes",
  syncfs: "there is nothing to lose here without a power failure",
  cachePerOpen: "what the cache keeps shows in speed alone",
  keeper: "the mount ends with its server: serving.test.ts kills one",
  upgrade: "'sluice upgrade' refuses every mount without a keeper",
};

plainTest("every limit that is declared is shown here, or by a conformance case, or said not to be seen", () => {
  const shown = new Set<string>([...knownDifferences, ...excludedCases].flatMap(({ limits }) => limits));
  const covered = (name: string): boolean => shown.has(name) || name in witnesses || name in unseen;
  const declared = Object.entries(engineCapabilities).flatMap(([name, { has }]) => (has ? [] : [name]));
  expect(declared.filter((name) => !covered(name))).toEqual([]);
  expect([...shown, ...Object.keys(witnesses), ...Object.keys(unseen)].filter((name) => !declared.includes(name))).toEqual([]);
});
