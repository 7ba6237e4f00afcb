/** Space that fallocate(2) reserves under `maxSizeBytes`: the limit bounds what the file takes on disk, too. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { Actor, layers, mountSluice, mountsShareProcess, policyOf, publicFile, requires } from "@sluice/testkit";
import { Errno, FALLOC } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

const BLOCK = 4096;
const LIMITED = 1000;

test("maxSizeBytes: no call reserves space behind the limit, and a hole may be punched there", async () => {
  const { lower, upper } = layers({ upper: { f: publicFile("0123456789") } });
  const terms = { subject: { uid: LIMITED }, effect: "mediate", obligations: { maxSizeBytes: 4 * BLOCK } } as const;
  const mount = await mountSluice({ lowers: [lower], upper, policy: policyOf("grant", { name: "short", path: "f", ...terms }) });
  const path = mount.path("f");
  const [limited, free] = await Promise.all([Actor.start(LIMITED), Actor.start()]);
  const allocate = (mode: number, offset: number, length: number): Promise<number> =>
    limited.do("syscall", "fallocate", path, mode, offset, length);
  const taken = (): number => statSync(join(upper, "f")).blocks * 512;
  const before = taken();
  for (const mode of [FALLOC.KEEP_SIZE, FALLOC.KEEP_SIZE | FALLOC.ZERO_RANGE]) {
    expect(await allocate(mode, 0, 64 * BLOCK)).toBe(-Errno.EFBIG);
    expect(await allocate(mode, 32 * BLOCK, BLOCK)).toBe(-Errno.EFBIG);
  }
  expect(taken()).toBe(before);
  expect(await allocate(FALLOC.KEEP_SIZE, 0, 4 * BLOCK)).toBe(0);
  // An open without the limit makes the file longer.
  expect(await free.do("syscall", "fallocate", path, 0, 0, 64 * BLOCK)).toBe(0);
  expect(await allocate(FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE, 4 * BLOCK, 60 * BLOCK)).toBe(0);
  expect(taken()).toBe(4 * BLOCK);
  await limited.stop();
  await free.stop();
  await mount.stop();
});
