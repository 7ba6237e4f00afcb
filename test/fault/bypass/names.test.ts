/**
 * The hunter for names: unprivileged processes race each other through a tree of which a policy denies parts. Root checks
 * afterwards that every result is possible in some order of the operations. README.md defines a violation, and why nothing
 * else counts. Runs for a fixed time on some of the mounts in `npm test`, and longer on all in `npm run test:soak bypass`;
 * SLUICE_SEED draws the same again.
 */
import { drawnCases, requires } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { CONFIGURATIONS, huntBy, SPARE_MS } from "./harness/configurations.js";
import { huntNames } from "./harness/hunt-names.js";
import { shareMs } from "./harness/share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");
const FEW = 3;
const leftMs = shareMs(3_000) / CONFIGURATIONS.length;

describe("names never bypass a rule", () => {
  const seed = chooseSeed();
  for (const configuration of drawnCases(CONFIGURATIONS, FEW, seed))
    test(
      configuration.name,
      async () => expect(await huntNames(huntBy(seed, { configuration, leftMs })), `SLUICE_SEED=${seed}`).toEqual([]),
      leftMs + SPARE_MS,
    );
});
