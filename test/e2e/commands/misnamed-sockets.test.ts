// A path that is named as a socket or as a file of activity by mistake: the object there stays.
import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plant, requires, runSluice, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface Place {
  /** Of the socket. */
  path: string;
  policy: string;
  lower: string;
  mountpoint: string;
}

const COMMANDS: Readonly<Record<string, (place: Place) => string[]>> = {
  "sluice mount --control": ({ path, lower, mountpoint }) => ["mount", "--control", path, "--lower", lower, mountpoint],
  "sluice serve --socket": ({ path }) => ["serve", "--socket", path],
  "sluice keeper --socket": ({ path, lower, mountpoint }) => ["keeper", "--socket", path, "--lower", lower, mountpoint],
  "sluice decision --listen": ({ path, policy }) => ["decision", "--policy", policy, "--listen", `unix://${path}`],
  "sluice volume-plugin --socket": ({ path, lower }) => ["volume-plugin", "--socket", path, "--root", join(lower, "volumes")],
  "sluice csi --endpoint": ({ path }) => ["csi", "--controller-only", "--endpoint", `unix://${path}`],
};

for (const [name, words] of Object.entries(COMMANDS))
  test(`${name} removes neither a file, nor a link, nor a directory`, async () => {
    const at = scratch();
    const [file, link, directory, policy] = ["file", "link", "directory", "policy.yaml"].map((each) => join(at, each)) as [
      string,
      string,
      string,
      string,
    ];
    writeFileSync(file, "precious");
    symlinkSync("file", link);
    mkdirSync(directory);
    writeFileSync(policy, "version: 1\ndefault: grant\n");
    const [lower, mountpoint] = [plant(scratch(), {}), scratch()];
    for (const path of [file, link, directory]) {
      const { code, stdout, stderr } = await runSluice(words({ path, policy, lower, mountpoint }), { timeoutMs: 20_000 });
      expect({ code: code === 1 || code === 2, stdout }).toEqual({ code: true, stdout: "" });
      expect(stderr).toMatch(/^sluice: \S.*: .*[^;]* \((EEXIST|EADDRINUSE)\): \w.*\n$/m);
      expect(stderr).toContain(path);
    }
    expect(readFileSync(link, "utf8")).toBe("precious");
  });

test("sluice mount --activity-file replaces no device", async () => {
  const [lower, mountpoint, link] = [plant(scratch(), {}), scratch(), join(scratch(), "activity")];
  symlinkSync("/dev/null", link);
  const { code, stdout, stderr } = await runSluice(["mount", "--activity-file", link, "--lower", lower, mountpoint]);
  expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
  expect(stderr).toMatch(/activity: the activity cannot be written here: it is no regular file: /);
  expect(readlinkSync(link)).toBe("/dev/null");
});
