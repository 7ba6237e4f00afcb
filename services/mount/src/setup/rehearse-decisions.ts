/** Prepares a process for its only mount, which somebody waits for: V8 compiles the code of a connection when it runs for the first time. */
import { VERSION } from "@sluice/runtime";
import type { ReadyDecisions } from "../mount-host.js";

/** A mount that comes meanwhile waits so long at most. */
const LIMIT_MS = 1_000;

/** Connects to the decision process as the mount will. A failure hinders nobody. */
export async function rehearseDecisions(decisions: Pick<ReadyDecisions, "rehearse">): Promise<void> {
  const { connectDecider, whenReady } = await import("@sluice/decision-client/connect");
  try {
    await decisions.rehearse(async (target) => {
      const decider = connectDecider({ target, mount: "rehearsal", clientVersion: VERSION });
      await whenReady(decider, LIMIT_MS);
      await decider.close();
    });
  } catch {
    // Such as without a place for the socket.
  }
}
