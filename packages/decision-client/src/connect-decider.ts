/**
 * A `Decider` that asks decision services, made of decorators. Their order is here and nowhere else, from the outside in:
 *   failure mode   no decision becomes the one the operator chose
 *   deadline       one question has one deadline, whatever is retried inside it
 *   replica pool   which replica, by Session or by unary calls, and again after a break
 */
import type { Decider, DeciderStatus, PolicyCapabilities } from "@sluice/decision-api";
import { makeDialer, type TlsFiles } from "./channel.js";
import { type DecisionClientEvents, NO_EVENTS } from "./decision-client-events.js";
import { ReplicaPool } from "./replica-pool.js";
import { parseTarget } from "./target.js";
import { withDeadline } from "./with-deadline.js";
import { type OutageMode, withFailureMode } from "./with-failure-mode.js";

export interface DeciderOptions {
  /** `unix:///path`, `host:port` or `dns:///host:port` (one replica for each address of the name), or several with commas. */
  target: string;
  /** The mount's name, for the service's policies and logs. */
  mount: string;
  clientVersion: string;
  tls?: TlsFiles | undefined;
  /** Default: deny. */
  onOutage?: OutageMode | undefined;
  /** Of one question, retries included. Default 5000. */
  timeoutMs?: number | undefined;
  events?: DecisionClientEvents | undefined;
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** Shorter, and it is a reconnect. */
const OUTAGE_AFTER_MS = 1_000;

/** Throws `DecisionError` "unreachable" where the target is none or a certificate cannot be read. Connects in the background. */
export function connectDecider(options: DeciderOptions): Decider {
  const target = parseTarget(options.target);
  const listeners = new Set<(capabilities: PolicyCapabilities) => void>();
  let closed = false;
  const pool = new ReplicaPool({
    target,
    dialer: makeDialer(options.tls, target.kind === "dns" ? target.host : undefined),
    greeting: { mount: options.mount, clientVersion: options.clientVersion },
    events: options.events ?? NO_EVENTS,
    onPolicy: (capabilities) => {
      latest = capabilities;
      for (const listener of listeners) listener(capabilities);
    },
  });
  let latest: PolicyCapabilities | undefined;
  const asked = withDeadline(pool, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => latest);
  const decide = withFailureMode(asked, options.onOutage ?? { kind: "deny" }, () => latest?.revision);

  function state(): DeciderStatus["state"] {
    if (closed) return "closed";
    const aloneMs = pool.aloneForMs();
    if (aloneMs === 0) return "ready";
    return aloneMs < OUTAGE_AFTER_MS ? "connecting" : "outage";
  }

  return {
    decide,
    capabilities: () => latest,
    onPolicyChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    status: () => ({
      target: options.target,
      state: state(),
      replicas: pool.describe(),
      revision: latest?.revision,
      policyId: latest?.policyId,
    }),
    close() {
      closed = true;
      listeners.clear();
      pool.close();
      return Promise.resolve();
    },
  };
}

/** True as soon as a service has told its policy; false where none has within `timeoutMs`. */
export function whenReady(decider: Decider, timeoutMs: number): Promise<boolean> {
  if (decider.capabilities() !== undefined) return Promise.resolve(true);
  return new Promise((resolve) => {
    const done = (ready: boolean): void => {
      clearTimeout(timer);
      stop();
      resolve(ready);
    };
    const timer = setTimeout(() => done(false), timeoutMs);
    const stop = decider.onPolicyChange(() => done(true));
  });
}
