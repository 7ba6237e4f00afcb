/** Readers of pages see each change that an open by another nodeId makes: the kernel's pages do not follow it by themselves. */
import {
  Actor,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  type SluiceMount,
} from "@sluice/testkit";
import { FALLOC, O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const OBSERVED = 2002;
const POLICY = policyOf("mediate", {
  name: "observed",
  path: "f",
  subject: { uid: OBSERVED },
  effect: "mediate",
  obligations: { audit: "each-io" },
});
const OLD = "0123456789";

const CHANGES: Record<string, [(actor: Actor, mount: SluiceMount) => Promise<unknown>, string]> = {
  "a write": [async (actor, mount) => actor.do("write", await actor.do("open", mount.path("f"), O.RDWR), "abc", 0), "abc3456789"],
  "a copy": [(actor, mount) => actor.do("syscall", "copy", mount.path("g"), mount.path("f")), "ABCDEFGHIJ"],
  "space given back": [
    (actor, mount) => actor.do("syscall", "fallocate", mount.path("f"), FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE, 2, 3),
    "01\0\0\x0056789",
  ],
  "a truncation by a descriptor": [
    async (actor, mount) => {
      const fd = await actor.do("open", mount.path("f"), O.RDWR);
      return [await actor.do("ftruncate", fd, 4), await actor.do("ftruncate", fd, 10)];
    },
    "0123\0\0\0\0\0\0",
  ],
  "a truncation by an open": [
    async (actor, mount) => actor.do("ftruncate", await actor.do("open", mount.path("f"), O.RDWR | O.TRUNC), 10),
    "\0".repeat(10),
  ],
};

for (const [what, [change, expected]] of Object.entries(CHANGES)) {
  test(`a mediated mapping sees ${what} that is made under an obligation`, async () => {
    const { lower, upper } = layers({ upper: { f: publicFile(OLD), g: publicFile("ABCDEFGHIJ") } });
    const mount = await mountSluice({ lowers: [lower], upper, policy: POLICY });
    const [reader, other] = [await Actor.start(), await Actor.start(OBSERVED)];
    const map = await reader.do("map", await reader.do("open", mount.path("f"), O.RDWR), OLD.length, true);
    expect(await reader.do("mapRead", map, 0, OLD.length)).toBe(OLD);
    await change(other, mount);
    await eventually("the mapping shows it", 20_000, async () => (await reader.do<unknown>("mapRead", map, 0, OLD.length)) === expected);
    await reader.stop();
    await other.stop();
    await mount.stop();
  });
}

const OBSERVED_READS = { name: "reads", path: "?", access: ["read"], effect: "mediate", obligations: { audit: "each-io" } } as const;

for (const effect of ["mediate", "grant"] as const) {
  test(`a splice of an observed reader sends what another open has written (${effect})`, async () => {
    const { lower, upper } = layers({ lower: { f: publicFile(OLD) }, upper: { u: publicFile(OLD) } });
    const mount = await mountSluice({ lowers: [lower], upper, policy: policyOf(effect, OBSERVED_READS) });
    const actor = await Actor.start();
    for (const name of ["u", "f"]) expect([name, await actor.do("syscall", "splice-again", mount.path(name), 65)]).toEqual([name, 65]);
    await actor.stop();
    await mount.stop();
  });
}
