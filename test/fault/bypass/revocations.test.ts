/**
 * The hunter for revoked opens: processes of several users hold files open and mapped while the policy turns against some of
 * them. An open that `sluice grants` counts as refused gets no byte that came later, and gives none away; every other denied
 * open is counted as passing through. README.md defines "later". A fixed time in `npm test`; `npm run test:soak bypass` for
 * longer; SLUICE_SEED draws the same again.
 */
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { CONFIGURATIONS, huntBy, SPARE_MS } from "./harness/configurations.js";
import { huntRevocations } from "./harness/hunt-revocations.js";
import { shareMs } from "./harness/share.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "command cc");
/** Marks of other programs change nothing of what is open. */
const MOUNTS = CONFIGURATIONS.filter(({ args }) => args === undefined);
const leftMs = shareMs(4_000) / MOUNTS.length;

describe("an open that is counted as refused", () => {
  const seed = chooseSeed();
  for (const configuration of MOUNTS)
    test(
      configuration.name,
      async () => expect(await huntRevocations(huntBy(seed, { configuration, leftMs })), `SLUICE_SEED=${seed}`).toEqual([]),
      leftMs + SPARE_MS,
    );
});
