/** docs/guides.md does what it says: each block is run as it stands, and one that fails in the middle fails here. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, describeResult, mountsBelow, requires, runScript, runSluice, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const SLUICE = fileURLToPath(new URL("../../packages/cli/bin/sluice.mjs", import.meta.url));
const text = readFileSync(fileURLToPath(new URL("../../docs/guides.md", import.meta.url)), "utf8");
const guides = [...text.matchAll(/^## (.+)$[^]*?^```sh\n([^]*?)^```$/gm)].map(([, title = "", script = ""]) => ({ title, script }));

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command getfattr", "command curl");

/** `sh -e` lets a command after "!" pass either way: here it must fail. */
const strict = (script: string): string => script.replace(/^! (.*?)(\s+#.*)?$/gm, "if $1; then exit 9; fi");

test("there are guides", () => expect(guides.length).toBeGreaterThanOrEqual(5));

for (const { title, script } of guides) {
  test(`how to: ${title}`, async () => {
    const place = scratch();
    const bin = join(place, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "sluice"), `#!/bin/sh\nexec "${process.execPath}" "${SLUICE}" "$@"\n`, { mode: 0o755 });
    cleanUp(async () => {
      for (const { mountpoint } of mountsBelow(place)) await runSluice(["unmount", mountpoint]);
    });
    const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}`, TMPDIR: place };
    const result = await runScript(["bash", "-euc", strict(script)], { env, timeoutMs: 50_000 });
    expect(result.code, describeResult(result)).toBe(0);
    expect(mountsBelow(place)).toEqual([]);
  });
}
