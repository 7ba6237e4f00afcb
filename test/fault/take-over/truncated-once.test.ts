/** A large file is truncated once by an open, although the server is killed before it answers: others may have written since. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Actor, layers, mountSluice, requires, scratch } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const PLANT = fileURLToPath(new URL("./plant-writer.mjs", import.meta.url));
const LARGE = Buffer.alloc(8 << 20, "x");

test("an open that truncates keeps what others wrote after the truncation", async () => {
  const { lower, upper } = layers({ lower: {}, upper: { large: LARGE } });
  const writtenFile = join(scratch(), "written");
  const env = { NODE_OPTIONS: `--import=${PLANT}`, SLUICE_WRITTEN_FILE: writtenFile };
  const mount = await mountSluice({ lowers: [lower], upper, args: ["--keeper", "on"], env });
  const actor = await Actor.start();
  writeFileSync(writtenFile, join(upper, "large"));
  expect(await actor.do("open", mount.path("large"), O.WRONLY | O.TRUNC)).toBeGreaterThan(0);
  // The first server has died.
  expect(existsSync(writtenFile)).toBe(false);
  expect(readFileSync(mount.path("large"), "latin1")).toBe("written since");
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
}, 180_000);
