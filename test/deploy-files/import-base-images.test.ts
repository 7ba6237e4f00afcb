// deploy/docker/import-base-images.sh: tests and releases on one machine share its tar.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch, startScript } from "@sluice/testkit";
import { expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../deploy/docker/import-base-images.sh", import.meta.url));
/** Stands for the program that makes a Debian: its last word is the archive. */
const MAKER = `#!/bin/sh
for word; do archive=$word; done
echo half > "$archive"
touch "$STARTED/$$"
until [ -e "$STARTED/go" ]; do sleep 0.05; done
echo whole >> "$archive"
`;

test("two imports at once make one whole tar, and leave nothing else", async () => {
  const [bin, started, cache] = ["bin", "started", "cache"].map((name) => join(scratch(), name)) as [string, string, string];
  for (const path of [bin, started]) mkdirSync(path);
  writeFileSync(join(bin, "mmdebstrap"), MAKER, { mode: 0o755 });
  const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}`, STARTED: started, SLUICE_IMAGE_CACHE: cache };
  const imports = [startScript([SCRIPT, "--tar-only"], { env }), startScript([SCRIPT, "--tar-only"], { env })];
  await expect.poll(() => readdirSync(started)).toHaveLength(imports.length);
  writeFileSync(join(started, "go"), "");
  for (const { finished } of imports) expect(await finished).toMatchObject({ code: 0, stderr: "" });
  expect(readdirSync(cache)).toEqual(["node-20-trixie-slim.tar"]);
  expect(readFileSync(join(cache, "node-20-trixie-slim.tar"), "utf8")).toBe("half\nwhole\n");
});
