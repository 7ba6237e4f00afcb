/**
 * The hunter for names: unprivileged processes race each other through a tree of which a policy denies parts, and root looks
 * afterwards whether anything came to be that no order of the operations allows. README.md tells what that is, and why nothing
 * else is counted. A fixed time in `npm test`; `npm run test:soak bypass` for longer; SLUICE_SEED draws the same again.
 */
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { CONFIGURATIONS, huntBy, SPARE_MS } from "./harness/configurations.js";
import { huntNames } from "./harness/hunt-names.js";
import { shareMs } from "./harness/share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
const leftMs = shareMs(6_000) / CONFIGURATIONS.length;

describe("nobody gets round a rule by names", () => {
  const seed = chooseSeed();
  for (const configuration of CONFIGURATIONS)
    test(
      configuration.name,
      async () => expect(await huntNames(huntBy(seed, { configuration, leftMs })), `SLUICE_SEED=${seed}`).toEqual([]),
      leftMs + SPARE_MS,
    );
});
