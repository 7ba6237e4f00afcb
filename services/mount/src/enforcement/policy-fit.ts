/** Checks that the engine can serve the policy: an engine without caller identity cannot serve rules that look at the caller. */
import type { PolicyCapabilities } from "@sluice/decision-api";
import type { EngineKind } from "@sluice/vfs";
import { wrong } from "@sluice/runtime/cli";
import type { DecisionChoice } from "../config/mount-config.js";

const NAMED = 5;

/** The facts that the engine cannot give the policy, with the names of the rules; undefined if there are none. */
export function unfitFor(kind: EngineKind, capabilities: PolicyCapabilities | undefined): string | undefined {
  const rules = capabilities?.callerRules ?? [];
  if (kind.capabilities.callerIdentity.has || rules.length === 0) return undefined;
  const named = rules.slice(0, NAMED).map((name) => `'${name}'`);
  const more = rules.length > NAMED ? ` and ${rules.length - NAMED} more` : "";
  return `rule${rules.length === 1 ? "" : "s"} ${named.join(", ")}${more} look${rules.length === 1 ? "s" : ""} at who asks, which engine ${kind.name} does not know`;
}

/** Why the engine cannot hide names; undefined if it can, or need not. */
export function cannotHide(kind: EngineKind, capabilities: PolicyCapabilities | undefined): string | undefined {
  if (kind.capabilities.notifications.has || (capabilities?.hiddenNames ?? []).length === 0) return undefined;
  return `it hides names, which engine ${kind.name} cannot take back from the kernel's cache`;
}

/** @throws CliError, exit code 2 */
export function refuseUnfit(kind: EngineKind, decision: DecisionChoice, capabilities: PolicyCapabilities | undefined): void {
  const problem = unfitFor(kind, capabilities) ?? cannotHide(kind, capabilities);
  if (problem === undefined) return;
  const object = decision.kind === "embedded" ? decision.policyFile : decision.kind === "remote" ? decision.target : "the policy";
  throw wrong(object, problem, "use --engine devfuse, or a policy without that");
}
