// V8's space for new objects stays small, and so its pauses short, for each command that serves a mount.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requires, runScript, runSluice, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { mountRow, PROGRAM, directories, type MountDirectories, serversGone, unmount } from "./drop-in.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const LIMIT_MS = 180_000;
const GONE_MS = 60_000;
/** If limited it is 2 or 4 MiB; if it may grow, it is 16 or more once all modules are loaded. */
const MOST_BYTES = 8 << 20;

/** Each process writes its size to PID.young when it ends. */
const TELLS = `import v8 from "node:v8"; import { writeFileSync } from "node:fs";
process.on("exit", () => writeFileSync(process.env.TOLD_IN + "/" + process.pid + ".young",
  String(v8.getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size)));`;

function environment(at: MountDirectories): Record<string, string> {
  const told = `--import=data:text/javascript,${encodeURIComponent(TELLS)}`;
  return { NODE_OPTIONS: told, TOLD_IN: at.directory, XDG_STATE_HOME: at.directory };
}

/** The largest size among the processes that have ended. */
function largest({ directory }: MountDirectories): number {
  const files = readdirSync(directory).filter((name) => name.endsWith(".young"));
  const sizes = files.map((name) => Number(readFileSync(join(directory, name), "latin1")));
  for (const name of files) rmSync(join(directory, name));
  return Math.max(...sizes);
}

test(
  "sluice mount keeps V8's space for new objects small",
  async () => {
    const at = directories({ a: "" });
    const [lower, upper, work] = ["l0", "u", "w"].map((name) => join(at.directory, name)) as [string, string, string];
    const args = ["mount", "--lower", lower, "--upper", upper, "--work", work, at.mountpoint];
    const server = startScript([process.execPath, join(PROGRAM, "../../../cli/bin/sluice.cjs"), ...args], { env: environment(at) });
    await server.waitFor("mounted ");
    expect((await runSluice(["unmount", at.mountpoint])).code).toBe(0);
    expect((await server.finished).code).toBe(0);
    expect(largest(at)).toBeLessThanOrEqual(MOST_BYTES);
  },
  LIMIT_MS,
);

test(
  "sluice-overlayfs keeps V8's space for new objects small in the background",
  async () => {
    const at = directories({ a: "" });
    const made = await runScript([PROGRAM, "-o", at.layers, "m"], { cwd: at.directory, env: environment(at) });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    // The launching process, which serves nothing.
    largest(at);
    expect(unmount(at)).toBe(0);
    expect(await serversGone(at)).toBe(true);
    expect(largest(at)).toBeLessThanOrEqual(MOST_BYTES);
  },
  LIMIT_MS,
);

test(
  "sluice-overlayfs keeps V8's space for new objects small in the foreground",
  async () => {
    const at = directories({ a: "" });
    const server = startScript([PROGRAM, "-f", "-o", at.layers, "m"], { cwd: at.directory, env: environment(at) });
    for (const untilMs = Date.now() + GONE_MS; mountRow(at) === undefined && Date.now() < untilMs; ) await sleep(20);
    expect(unmount(at)).toBe(0);
    await server.finished;
    expect(largest(at)).toBeLessThanOrEqual(MOST_BYTES);
  },
  LIMIT_MS,
);
