/** `sluice profile --live` beside a mount that works: the picture shows its functions, and only its owner gets one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  mountsShareProcess,
  mountSluice,
  plant,
  policyOf,
  publicFile,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

/** Reads until it is told to end, and fails if one operation does. No process is started in turn: on a busy machine that is all it would do. */
const READS = `const { readFileSync, readdirSync } = require("node:fs");
process.on("SIGTERM", () => process.exit(0));
console.log("started");
const turn = () => {
  for (let at = 0; at < 100; at++) readFileSync(process.argv[1] + "/a"), readFileSync(process.argv[1] + "/m/b"), readdirSync(process.argv[1]);
  setImmediate(turn);
};
turn();`;

test("shows the functions that a working server spends its time in, and disturbs none of its callers", async () => {
  const lower = plant(scratch(), { a: publicFile("a"), "m/b": publicFile("b") });
  const mount = await mountSluice({ lowers: [lower], policy: policyOf("grant", { name: "metered", path: "m/**", effect: "mediate" }) });
  const load = startScript([process.execPath, "-e", READS, mount.mountpoint]);
  await load.waitFor("started");
  const out = join(scratch(), "p.svg");
  let svg = "";
  // V8 looks once a millisecond: a function is in the picture if it was met, sooner or later.
  while (!/<title>\w*open\w*\n/i.test(svg)) {
    const { code, stderr } = await runSluice(["profile", "--live", mount.mountpoint, "1s", "--out", out]);
    expect([code, stderr]).toEqual([0, `${out}: written: open it in a browser\n`]);
    svg = readFileSync(out, "utf8");
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    expect(svg).toContain("</svg>");
    // The profiler's own work.
    expect(svg).not.toContain("\nnode:inspector:");
  }
  load.kill("SIGTERM");
  expect((await load.finished).code).toBe(0);
  await mount.stop();
});

/** A profile that is under way: another one is refused. If it meets one of those that look for that, it is refused itself and starts again. */
async function startLong(mountpoint: string, isRefused: () => Promise<boolean>): Promise<RunningScript> {
  for (;;) {
    const long = startScript([process.execPath, "packages/cli/bin/sluice.cjs", "profile", "--live", mountpoint, "5m", "--out", "-"]);
    let ended = false;
    void long.finished.then(() => {
      ended = true;
    });
    while (!ended) if (await isRefused()) return long;
  }
}

test("takes one profile at a time, ends one whose caller has left, and refuses other users and other times", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { a: publicFile("a") })] });
  const profile = (...args: string[]): ReturnType<typeof runSluice> =>
    runSluice(["profile", "--live", mount.mountpoint, ...args, "--out", "-"]);
  const long = await startLong(mount.mountpoint, async () => (await profile("1ms")).stderr.includes("EBUSY"));
  long.kill("SIGKILL");
  await long.finished;
  // The server sees the end of the connection at once, or a little later.
  for (let code: number | null = 1; code !== 0; ) code = (await profile("1ms")).code;
  const other = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", process.execPath, "packages/cli/bin/sluice.cjs"];
  expect((await runScript([...other, "profile", "--live", mount.mountpoint, "1ms", "--out", "-"])).code).not.toBe(0);
  expect((await profile("soon")).stderr).toMatch(/^sluice: soon: it is not the time of a profile: write a whole number and ms, s or m, /);
  expect((await profile("6m")).code).toBe(2);
  expect((await runSluice(["profile"])).stderr).toBe("sluice: profile: nothing to profile: name a decision log, or a mount with --live\n");
  await mount.stop();
});
