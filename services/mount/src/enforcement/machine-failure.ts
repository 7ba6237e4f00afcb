/**
 * A denial for want of a fact that the machine could not give: the mount had no descriptor or memory left to read it. The caller gets
 * that errno, as if the file itself could not be opened, and reports do not count a denial of the policy.
 */
import type { Decision, Question } from "@sluice/decision-api";
import { Errno } from "@sluice/vfs";
import { DENIED, type DecidedRuling } from "./decided-ruling.js";
import type { PolicyGateEvents } from "./gate-events.js";

const SHORT_OF: Readonly<Record<string, number>> = { EMFILE: Errno.EMFILE, ENFILE: Errno.ENFILE, ENOMEM: Errno.ENOMEM };

/** Undefined if the policy denies it by facts that it has. The decision names the facts that it lacked. */
export function failedByMachine(
  decision: Decision,
  { missing }: Question,
  events: Pick<PolicyGateEvents, "anomaly">,
): DecidedRuling | undefined {
  if (decision.effect !== "deny" || missing.length === 0) return undefined;
  for (const { name, reason } of missing) {
    const errno = SHORT_OF[/\(([A-Z]+)\)$/.exec(reason)?.[1] ?? ""];
    if (errno === undefined || !blames(decision, name)) continue;
    events.anomaly("a fact that the policy looks at cannot be read: the access fails", { fact: name, reason });
    return { ...DENIED, errno, byMachine: true };
  }
  return undefined;
}

/** All engines say so: "…, since resource.head is missing: …" (evaluate.ts, cedar-kind.ts and remote-engine.ts of the backends). */
function blames({ reason }: Decision, fact: string): boolean {
  return reason.includes("is missing") && reason.includes(fact);
}
