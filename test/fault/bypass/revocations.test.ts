/**
 * The hunter for revoked opens: processes of several users hold files open and mapped while the policy turns against some of
 * them. A descriptor that `sluice grants` counts as refused reads no byte of a later time, and writes none. Every other denied
 * descriptor counts as passing through. README.md defines when "later" begins. Runs for a fixed time on some of the
 * mounts in `npm test`, and longer on all in `npm run test:soak bypass`; SLUICE_SEED draws the same again.
 */
import { drawnCases, requires } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { CONFIGURATIONS, huntBy, SPARE_MS } from "./harness/configurations.js";
import { huntRevocations } from "./harness/hunt-revocations.js";
import { shareMs } from "./harness/share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command cc");
/** Marks of other programs do not affect open files. */
const MOUNTS = CONFIGURATIONS.filter(({ args }) => args === undefined);
const FEW = 2;
const leftMs = shareMs(2_000) / MOUNTS.length;

describe("opens that count as refused are refused", () => {
  const seed = chooseSeed();
  for (const configuration of drawnCases(MOUNTS, FEW, seed))
    test(
      configuration.name,
      async () => expect(await huntRevocations(huntBy(seed, { configuration, leftMs })), `SLUICE_SEED=${seed}`).toEqual([]),
      leftMs + SPARE_MS,
    );
});
