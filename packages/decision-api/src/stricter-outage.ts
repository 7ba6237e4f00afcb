/** The outage modes of several rules as one. Undefined is the mount's own mode, which the service does not know. */
import type { StatedOutage } from "./domain.js";

/** The stricter of two: "deny" before "stale" before "mediate". */
export function stricterOutage(one: StatedOutage | undefined, other: StatedOutage | undefined): StatedOutage | undefined {
  if (one === other) return one;
  if (one === "deny" || other === "deny") return "deny";
  // The mount's own mode is never laxer than "mediate".
  if (one === "mediate") return other;
  if (other === "mediate") return one;
  // One of them is "stale", and the other one may be "deny".
  return "stale-unless-deny";
}
