/** Enforced decisions as `sluice log` and the consoles of decision services get them. */
import type { Decider } from "@sluice/decision-api";
import type { LogItem } from "@sluice/mount-control";
import { toText } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import { type DecisionWindow, isDenial, wasAsked } from "../telemetry/decision-tally.js";

export function logItems(mount: string, { named, unnamed, atMs }: DecisionWindow): LogItem[] {
  const items = named.map(({ sinceMs, effect, errno, path, program, decisionId, ...rest }): LogItem => {
    const { rule, reason, source, operation, accesses, uid, pid, count } = rest;
    const who = { uid, pid, program: program === "" ? null : toText(program) };
    const what = { path: toText(path), operation, accesses, reason, source, decision: decisionId };
    const refused = isDenial(effect) ? errnoName(errno > 0 ? errno : Errno.EACCES) : null;
    return { time: new Date(sinceMs).toISOString(), mount, effect, count, rule, ...what, ...who, errno: refused };
  });
  const nobody = { path: null, operation: null, accesses: null, uid: null, pid: null, program: null };
  const others = unnamed.map(({ effect, rule, count }): LogItem => {
    return {
      time: new Date(atMs).toISOString(),
      mount,
      effect,
      count,
      rule,
      ...nobody,
      errno: null,
      reason: null,
      source: null,
      decision: null,
    };
  });
  return [...items, ...others];
}

/** Reports to the consoles of the services what they do not know: the decisions that no service was asked for. */
export function tellServices(decider: Decider, { named, unnamed }: DecisionWindow): void {
  const report = { decisions: named.filter((each) => !wasAsked(each)), unnamed: unnamed.filter(({ asked }) => !asked), missed: 0 };
  if (report.decisions.length + report.unnamed.length > 0) decider.tellEnforced?.(report);
}
