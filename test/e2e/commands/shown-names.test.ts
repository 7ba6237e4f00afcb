/** Names of files on a mount, as the commands show them to users. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bytes, mountSluice, nodePath, plant, policyOf, requires, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const WILD = bytes("x\n\x1b[2J\u{202e}");
const SHOWN = "x\\n\\033[2J\\342\\200\\256";

test("grants, explain and top show a name in a form that forges no line and commands no terminal", async () => {
  const lower = plant(scratch(), { [WILD]: "f" });
  const mount = await mountSluice({ lowers: [lower], policy: policyOf("grant") });
  const holder = startScript(["sh", "-c", 'exec 3< "$1"; echo open; read -r _', "sh", nodePath(`${mount.mountpoint}/${WILD}`).toString()]);
  await holder.waitFor("open");
  const grants = await mount.cli("grants");
  expect(grants.stdout.trimEnd().split("\n")).toEqual([expect.stringMatching(/^PATH /), expect.stringContaining(SHOWN)]);
  const explained = await runSluice(["explain", `${mount.mountpoint}/${Buffer.from(WILD, "latin1").toString()}`]);
  expect(explained.stdout).toContain(`path         ${SHOWN} (read)\n`);
  const top = await mount.cli("top", "--once");
  expect(top.stdout).toContain(`  ${SHOWN}\n`);
  const json = JSON.parse((await mount.cli("grants", "--json")).stdout) as { path: string }[];
  expect(json.map(({ path }) => path)).toEqual([Buffer.from(WILD, "latin1").toString()]);
  holder.kill();
  await holder.finished;
  await mount.stop();
});

test("a mount point is shown in such a form when it is mounted and unmounted", async () => {
  const mountpoint = join(scratch(), "m\x1b[2J");
  mkdirSync(mountpoint);
  const mount = startScript([process.execPath, CLI, "mount", "--lower", scratch(), mountpoint]);
  await mount.waitFor("mounted ");
  const { stdout } = await runSluice(["unmount", mountpoint]);
  expect(stdout).toBe(`unmounted ${join(mountpoint, "..")}/m\\033[2J\n`);
  expect((await mount.finished).stdout).toContain("/m\\033[2J (1 lower, ");
});
