/** `sluice top` beside a mount: the counts are those of what was done, in a pipe and on a terminal that is given back. */
import { mountSluice, plant, requires, runScript, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { Actor } from "../e2e/harness/actor.js";
import { open } from "../e2e/harness/layers.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const CLI = "packages/cli/bin/sluice.mjs";

const POLICY = `version: 1
default: grant
rules:
  - { name: keys, path: "**/*.pem", effect: deny }
  - { name: metered, path: "m/**", effect: mediate }
`;

interface Report {
  opens: Record<string, number>;
  decisions: Record<string, number>;
  rules: [string, Record<string, number>][];
  paths: { path: string; count: number }[];
  requests: Record<string, { errors: number; durations: { count: number } }>;
  grants: number;
}

test("what was opened is counted by how it flows, by rule and by path", async () => {
  const lower = plant(scratch(), { a: open("a"), "m/b": open("b"), "k.pem": open("k") });
  const mount = await mountSluice({ lowers: [lower], policy: POLICY });
  const actor = await Actor.start();
  for (let round = 0; round < 3; round++) await actor.do("contents", mount.path("a"));
  await actor.do("contents", mount.path("m/b"));
  await actor.do("contents", mount.path("k.pem"));
  const held = await actor.do("open", mount.path("a"), 0);
  const once = await mount.cli("top", "--once", "--json");
  const report = JSON.parse(once.stdout) as Report;
  expect(report).toMatchObject({ opens: { passthrough: 4, mediated: 1 }, grants: 1, requests: { OPEN: { errors: 1 } } });
  expect(Object.fromEntries(report.rules)).toEqual({
    default: { grant: 4, mediate: 0, deny: 0 },
    metered: { grant: 0, mediate: 1, deny: 0 },
    keys: { grant: 0, mediate: 0, deny: 1 },
  });
  expect(report.paths.map(({ path, count }) => `${path} ${count}`)).toEqual(["a 4", "m/b 1"]);
  const told = await mount.cli("top", "--once");
  expect(told.stdout).toMatch(/^opens .*80 % passthrough, 20 % mediated$/m);
  expect(told.stdout).toMatch(/^open now {4}1 passthrough; 1 grants in force, 0 of them revoked$/m);
  expect(told.stderr).toBe("");
  expect(held).toBeGreaterThan(0);
  await actor.stop();
  await mount.stop();
}, 60_000);

test("in a pipe it goes on, and ends quietly with its reader; on a terminal it draws, and q gives the terminal back", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { a: open("a") })] });
  const piped = startScript([process.execPath, CLI, "top", "--interval", "0.1", mount.mountpoint]);
  await piped.waitFor("every 0.1 s");
  piped.kill();
  const line = `"${process.execPath}" ${CLI} top --json --interval 0.1 ${mount.mountpoint} | head -n 1`;
  const ended = await runScript(["sh", "-c", line]);
  expect([ended.stderr, JSON.parse(ended.stdout)]).toMatchObject(["", { mountpoint: mount.mountpoint }]);
  const command = `"${process.execPath}" ${CLI} top --interval 0.1 ${mount.mountpoint}`;
  const terminal = startScript(["script", "-qec", command, "/dev/null"]);
  await terminal.waitFor("mediated    0 B/s");
  terminal.write("q");
  const { code, stdout } = await terminal.finished;
  expect(code).toBe(0);
  expect(stdout.startsWith("\u001b[?1049h\u001b[?25l")).toBe(true);
  expect(stdout.endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
  expect((await runSluice(["top", "--interval", "soon", mount.mountpoint])).stderr).toBe(
    'sluice: --interval: "soon" is no number of seconds from 0.1 on: write for instance 2\n',
  );
  await mount.stop();
}, 60_000);
