/** A layer that finds a name in other letters is refused: a rule on the name that it lists would not hold for the others. */
import { mountSluice, plant, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { MountedMirror } from "../../engine/mounted-mirror.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

for (const foldsCase of [true, false]) {
  test(`a layer on a file system that ${foldsCase ? "finds names in other letters is refused" : "knows one spelling of names is accepted"}`, async () => {
    const mirror = new MountedMirror();
    try {
      await mirror.engine.ready;
      plant(mirror.backing, { "0": "no letters", "key.pem": "secret", data: "plain" });
      mirror.mirror.foldsCase = foldsCase;
      const mounting = mountSluice({ lowers: [mirror.mountpoint], upper: plant(scratch(), {}), policy: "version: 1\ndefault: grant\n" });
      const outcome = await mounting.then(async (mount) => `mounted, and ended with ${(await mount.stop()).code}`, String);
      expect(outcome).toMatch(foldsCase ? /names in this lower layer are case-insensitive/ : /^mounted, and ended with 0$/);
    } finally {
      await mirror.dispose();
    }
  });
}
