/**
 * A policy is edited while files are open: the mount refuses mediated opens, reports passthrough opens, and signals their
 * holders if asked to.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, writeFileSync } from "node:fs";
import {
  eventually,
  file,
  mountsShareProcess,
  mountSluice,
  plant,
  plantDeep,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const { test: endingHolders } = requires(
  ...(["/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "checkout that every user can read", "the machine's pid namespace"] as const),
);
const AMPLE_MS = 60_000;

interface Grant {
  change: string;
  path: string;
  pid: number;
  mode: string;
  revoked: { effect: string; rule: string } | null;
}
interface Status {
  /** By effect and source. */
  decisions: Readonly<Record<string, number>>;
  revocation: { onRevoke: string; holdersUnseen: string | null; passing: number; refused: number; signalled: number };
}

const status = async (mount: SluiceMount): Promise<Status["revocation"]> => ((await mount.status()) as Status).revocation;
const grants = async (mount: SluiceMount): Promise<Grant[]> => (await mount.grants()) as Grant[];
const allow = (effect: string): string => `version: 1\ndefault: ${effect}\n`;
const refuse = (effect: string, subject = ""): string =>
  `version: 1\ndefault: ${effect}\nrules:\n  - { name: no more, path: "f"${subject}, effect: deny }\n`;

/** Reads the first byte of the file on each command, by one descriptor; "map" maps it shared and closes it. */
const HOLDER = `
const { openSync, readSync, closeSync } = await import("node:fs");
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const fd = openSync(process.argv[1], "r+");
let mapping;
console.log("open");
for await (const line of (await import("node:readline")).createInterface({ input: process.stdin })) {
  if (line === "map") { mapping = native.mapShared(fd, 4096, true); closeSync(fd); console.log("mapped"); continue; }
  try { const byte = Buffer.alloc(1); readSync(fd, byte, 0, 1, 0); console.log(line + " " + byte); } catch (error) { console.log(line + " " + error.code); }
}
`;

/** An unmount ends at once if nobody uses the mount, and waits for its users otherwise. */
async function ended(...scripts: ReturnType<typeof startScript>[]): Promise<void> {
  for (const script of scripts) script.kill();
  await Promise.all(scripts.map(({ finished }) => finished));
}

async function mounted(effect: string, args: string[] = []): Promise<SluiceMount> {
  const lower = plant(scratch(), { f: file("content", { mode: 0o666 }), g: file("other", { mode: 0o666 }) });
  return mountSluice({ lowers: [lower], upper: plant(scratch(), {}), policy: allow(effect), args });
}

/** All files of the test have this content. */
const CONTENT = "content";
const DIGEST = createHash("sha256").update(CONTENT).digest("hex");
const BY_DIGEST = `{ name: by digest, when: "resource.digest == '${DIGEST}'", effect: deny }`;
/** More than are judged together. */
const MANY = 40;

/** The first line of the log about a refused open, and how many questions nobody could decide. */
async function firstRefused(): Promise<{ first: string; log: string; outages: number }> {
  const names = [...Array(MANY).keys()].map((number) => `slow-${number}`);
  const lower = plant(scratch(), Object.fromEntries([...names, "f"].map((name) => [name, file(CONTENT, { mode: 0o666 })])));
  const mount = await mountSluice({ lowers: [lower], upper: plant(scratch(), {}), policy: allow("mediate") });
  const paths = [...names, "f"].map((name) => mount.path(name));
  const opened = paths.map((path) => openSync(path, "r"));
  const rules = `rules:\n  - { name: no more, path: f, effect: deny }\n  - ${BY_DIGEST}\n`;
  writeFileSync(mount.policyFile as string, `${allow("mediate")}${rules}`);
  await eventually("all opens are refused", AMPLE_MS, async () => (await status(mount)).refused === MANY + 1);
  const log = mount.log();
  const [first = ""] = log.split("\n").filter((line) => line.includes("its I/O is refused"));
  const { decisions } = (await mount.status()) as Status;
  for (const fd of opened) closeSync(fd);
  await mount.stop();
  return { first, log, outages: (decisions["deny/outage"] ?? 0) + (decisions["mediate/outage"] ?? 0) };
}

test(
  "an open that the path denies is refused before the digests of other open files are computed",
  async () => {
    let found = await firstRefused();
    // An open that nobody could decide, as on a machine that stalls, is judged again after a pause. Digests are computed meanwhile.
    for (let attempt = 1; found.outages > 0 && attempt < 4; attempt++) found = await firstRefused();
    expect(found.first, found.log).toContain('"path":"f"');
  },
  4 * AMPLE_MS,
);

test("a revoked mediated open is refused at its next read, cached data included, until it is allowed again", async () => {
  const mount = await mounted("mediate");
  const holder = startScript(HOLDER, { args: [mount.path("f")] });
  await holder.waitFor("open");
  holder.write("first\n");
  await holder.waitFor("first c");
  const watch = startScript([process.execPath, "packages/cli/bin/sluice.cjs", "grants", mount.mountpoint, "--watch"]);
  await watch.waitFor("open      f  ");
  writeFileSync(mount.policyFile as string, refuse("mediate"));
  await eventually("the open is refused", AMPLE_MS, async () => (await status(mount)).refused === 1);
  holder.write("second\n");
  await holder.waitFor("second EACCES");
  expect((await grants(mount))[0]).toMatchObject({ mode: "mediated", revoked: { effect: "deny", rule: "no more" } });
  writeFileSync(mount.policyFile as string, allow("mediate"));
  await eventually("the open is allowed again", AMPLE_MS, async () => (await status(mount)).refused === 0);
  holder.write("third\n");
  await holder.waitFor("third c");
  await watch.waitFor("revoked   f  ");
  await watch.waitFor("restored  f  ");
  await ended(watch, holder);
  await mount.stop();
}, 120_000);

test("a passthrough open cannot be revoked: it is counted and reported, and so is a mapping whose descriptor is closed", async () => {
  const mount = await mounted("grant");
  const holder = startScript(HOLDER, { args: [mount.path("f")] });
  await holder.waitFor("open");
  writeFileSync(mount.policyFile as string, refuse("grant"));
  await eventually("the open is marked", AMPLE_MS, async () => (await status(mount)).passing === 1);
  holder.write("still\n");
  await holder.waitFor("still c");
  const table = await runScript([process.execPath, "packages/cli/bin/sluice.cjs", "grants", mount.mountpoint]);
  expect(table.stdout).toMatch(/f +upper +passthrough \(REVOKED: deny by no more, passes through\)/);
  holder.write("map\n");
  await holder.waitFor("mapped");
  await eventually("the descriptor is closed", AMPLE_MS, async () => !(await grants(mount)).some(({ change }) => change === "open"));
  expect(await grants(mount)).toMatchObject([{ change: "mapped", path: "f", pid: holder.pid, mode: "mapping" }]);
  expect(await status(mount)).toMatchObject({ onRevoke: "report", passing: 0, signalled: 0 });
  await ended(holder);
  await mount.stop();
}, 120_000);

endingHolders(
  "--on-revoke sigterm ends a holder without a grant, found by its descriptors and not by its open call",
  async () => {
    const mount = await mounted("grant", ["--on-revoke", "sigterm"]);
    // The shell opens the file and ends; its child inherits the descriptor.
    const heir = await runScript(["sh", "-c", "exec 3<> f; sleep 60 < /dev/null > /dev/null 2>&1 & echo $!"], { cwd: mount.mountpoint });
    const pid = Number(heir.stdout);
    const other = startScript(HOLDER, { args: [mount.path("g")] });
    await other.waitFor("open");
    const allowed = startScript(HOLDER, { args: [mount.path("f")], as: { uid: 12, gid: 12 } });
    await allowed.waitFor("open");
    writeFileSync(mount.policyFile as string, refuse("grant", ", subject: { uid: [0] }"));
    await eventually("the heir is gone", AMPLE_MS, async () => (await runScript(["sh", "-c", `kill -0 ${pid}`])).code !== 0);
    await eventually("the signal is counted", AMPLE_MS, async () => (await status(mount)).signalled === 1);
    for (const spared of [other, allowed]) {
      spared.write("spared\n");
      await spared.waitFor("spared ");
    }
    await ended(other, allowed);
    await mount.stop();
  },
  120_000,
);

endingHolders(
  "--on-revoke sigterm ends a holder of a file whose path is too long to be told",
  async () => {
    const lower = scratch();
    const depth = plantDeep(lower).length;
    const mount = await mountSluice({
      lowers: [lower],
      upper: plant(scratch(), {}),
      policy: allow("grant"),
      args: ["--on-revoke", "sigterm"],
    });
    const script = `for at in $(seq ${depth}); do cd -P n*; done; exec 3<> first; sleep 60 < /dev/null > /dev/null 2>&1 & echo $!`;
    const pid = Number((await runScript(["sh", "-c", script], { cwd: mount.mountpoint })).stdout);
    writeFileSync(mount.policyFile as string, refuse("grant").replace('"f"', '"**/first"'));
    await eventually("the holder is gone", AMPLE_MS, async () => (await runScript(["sh", "-c", `kill -0 ${pid}`])).code !== 0);
    expect((await status(mount)).signalled).toBe(1);
    await mount.stop();
  },
  120_000,
);

test("if not all holders are visible, the mount refuses to signal them, and status says why", async () => {
  const script = `"$NODE" packages/cli/bin/sluice.cjs mount --on-revoke sigkill --lower "$1" "$2"; echo "exit $?"`;
  const [lower, at] = [plant(scratch(), {}), scratch()];
  const argv = ["unshare", "-p", "-f", "-m", "--mount-proc", "sh", "-c", script, "sh", lower, at];
  const { stdout, stderr } = await runScript(argv, { env: { NODE: process.execPath } });
  expect(stdout).toContain("exit 3");
  expect(stderr).toMatch(/--on-revoke sigkill: this is a pid namespace of its own/);
}, 120_000);
