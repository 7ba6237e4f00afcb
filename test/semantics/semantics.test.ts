/**
 * The data path, rule by rule: a program sees the same through passthrough, through a mediated open, and on the bare file
 * system. Each rule runs there, on kernel overlayfs and on Sluice; differences.ts lists the intended differences.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mountsShareProcess, requires, runScript, scratch } from "@sluice/testkit";
import { afterAll, beforeAll, expect, test as plainTest } from "vitest";
import { compileProbe } from "./compile-probe.js";
import { differences } from "./differences.js";
import { enter, type WorldDirectory, type World, worlds } from "./worlds.js";

mountsShareProcess();

const { describe, test } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "FUSE passthrough",
  "kernel overlayfs",
  "loop devices",
  "command cc",
  "command mkfs.ext4",
);
const { program, rules } = compileProbe();
/** Small, so that it is soon full; with room for a program and the largest file of a rule. */
const LAYERS_MB = 64;

function expected(world: World, rule: string, native: readonly string[]): string[] {
  const known = differences.filter((difference) => difference.rule === rule && difference.worlds.includes(world));
  for (const { native: line } of known) expect(native, `differences.ts, ${rule}`).toContain(line);
  return native.map((line) => known.find((difference) => difference.native === line)?.instead ?? line).filter((line) => line !== "");
}

/** The rule that needs another file system, one with such offsets. */
const ON_TMPFS = "offsets beyond 32 and 53 bits";

for (const on of ["ext4-loop", "tmpfs"] as const)
  describe(`the data path on ${on}`, () => {
    const places = new Map<World, WorldDirectory>();
    const native = new Map<string, string[]>();

    async function outcome(world: World, rule: string): Promise<string[]> {
      const cwd = (places.get(world) as WorldDirectory).path;
      const { code, stdout, stderr } = await runScript([program, rule], { cwd, timeoutMs: 150_000 });
      return [...stdout.trim().split("\n"), ...(code === 0 ? [] : [`exit ${code} ${stderr.trim()}`])];
    }

    beforeAll(async () => {
      for (const world of worlds) {
        const base = join(scratch({ on, sizeMb: LAYERS_MB }), "layers");
        mkdirSync(base);
        places.set(world, await enter(world, base));
      }
    });
    afterAll(async () => {
      for (const place of places.values()) await place.end();
    });

    for (const rule of on === "tmpfs" ? [ON_TMPFS] : rules) {
      for (const world of worlds) {
        test(`${rule} (${world})`, async () => {
          const lines = await outcome(world, rule);
          if (world === "native") native.set(rule, lines);
          expect(lines).toEqual(expected(world, rule, native.get(rule) ?? []));
        });
      }
    }
  });

plainTest("docs/data-path.md shows the table of differences", () => {
  const rows = differences.map(
    ({ rule, worlds: where, native, instead, why }) => `| ${[rule, where.join(", "), native, instead, why].join(" | ")} |`,
  );
  const page = readFileSync(new URL("../../docs/data-path.md", import.meta.url), "utf8");
  expect(
    page
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .slice(1),
  ).toEqual(rows);
});
