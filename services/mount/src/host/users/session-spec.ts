/**
 * The form of the view of a session. `sluice run` gives a mount no other options than these, so it does not load their parser while the
 * service waits. Every other value is the one that `sluice mount` has if the option is left out.
 */
import { MAX_USER_LOWERS, nameOfPolicy, refuse, type SessionParts, type UserSpec, VERSION } from "./user-spec.js";

export interface SessionView {
  /** Absolute paths; the lower layers topmost first. */
  mountpoint: string;
  lowers: readonly string[];
  upper: string;
  work: string;
  policyFile: string;
  /** So many of the topmost lower layers were the upper layer before. */
  formerUppers: number;
  /** In questions, policies and logs. */
  name: string;
}

/** @throws CliError if it has more layers than an ordinary user may have */
export function sessionSpec({ lowers, policyFile, formerUppers, name }: SessionView, parts: SessionParts): UserSpec {
  if (lowers.length > MAX_USER_LOWERS) refuse("--lower", `an ordinary user may have ${MAX_USER_LOWERS} layers`);
  return {
    ...{ version: VERSION, attached: false, lowers: lowers.length, writable: true, policy: true, policyName: nameOfPolicy(policyFile) },
    ...{ session: true, ...parts, formerUppers, mountFlags: 0, xino: "auto", nonEmpty: false, coherentReaders: false, sharedLower: true },
    ...{ cacheTtlMs: 1000, maxStackDepth: 1, locks: "auto", onOutage: "deny", staleForMs: 300_000, decisionTimeoutMs: 5000 },
    ...{ askTimeoutMs: null, graceMs: 10_000, name, logLevel: "info" },
  };
}
