/** Appends under `maxSizeBytes` beside appends without it: at most one write request of the former lies behind the limit, as docs/rules.md says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Actor, layers, mountSluice, mountsShareProcess, policyOf, publicFile, requires } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const LIMITED = 2001;
const LIMIT = 1 << 20;
const CHUNK = 50_000;

interface Appender {
  actor: Actor;
  fd: number;
}

/** Appends until the limit refuses it. @returns the bytes that it wrote */
async function appendAll({ actor, fd }: Appender): Promise<number> {
  let written = 0;
  for (;;) {
    const status = (await actor.do("append", fd, "l".repeat(CHUNK))) as number;
    if (status < 0) expect(status).toBe(-Errno.EFBIG);
    if (status < 0) return written;
    written += status;
  }
}

for (const effect of ["grant", "mediate"] as const)
  test(`appends with a limit write at most one request behind it beside those of an open that is ${effect === "grant" ? "granted" : "mediated"}`, async () => {
    const limited = { subject: { uid: LIMITED }, effect: "mediate", obligations: { maxSizeBytes: LIMIT } } as const;
    const { lower, upper } = layers({ upper: { f: publicFile("") } });
    const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: policyOf(effect, limited) });
    const appenderOf = async (uid: number): Promise<Appender> => {
      const actor = await Actor.start(uid);
      return { actor, fd: (await actor.do("open", mount.path("f"), O.WRONLY | O.APPEND)) as number };
    };
    const bound = await Promise.all(Array.from({ length: 4 }, () => appenderOf(LIMITED)));
    const free = await Promise.all(Array.from({ length: 2 }, () => appenderOf(0)));
    for (let round = 0; round < 20; round++) {
      await Promise.all(free.map(({ actor, fd }) => actor.do("ftruncate", fd, LIMIT - 7 * CHUNK - round)));
      let over = false;
      const extensions = free.map(async ({ actor, fd }) => {
        while (!over) await actor.do("append", fd, "u".repeat(1_000));
      });
      const written = (await Promise.all(bound.map(appendAll))).reduce((one, other) => one + other, 0);
      over = true;
      await Promise.all(extensions);
      const content = readFileSync(join(upper, "f"), "latin1");
      const ls = (text: string): number => text.split("l").length - 1;
      expect(ls(content)).toBe(written);
      expect(ls(content.slice(LIMIT))).toBeLessThanOrEqual(CHUNK);
      for (const { actor, fd } of free) expect(await actor.do("ftruncate", fd, 0)).toBe(0);
    }
    for (const { actor } of [...bound, ...free]) await actor.stop();
    await mount.stop();
  });
