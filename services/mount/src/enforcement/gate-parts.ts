/** The parts that a mount puts its policy gate together from. */
import type { Decider } from "@sluice/decision-api";
import type { OpenSpans } from "../tracing/open-spans.js";
import type { FindMapped } from "./facts/mapped-files.js";
import type { MountFacts } from "./facts/resource-facts.js";
import type { PolicyGateEvents } from "./gate-events.js";
import type { Grants } from "./grants.js";

export interface GateParts {
  decider: Decider;
  mount: MountFacts;
  grants: Grants;
  events: PolicyGateEvents;
  spans?: OpenSpans | undefined;
  showsUnjudged?: boolean;
  /** The program of a process, for people; undefined: too many were read in this second. */
  programOf?: (pid: number) => string | undefined;
  findMapped?: FindMapped;
  /** An earlier server gave grants, whose use of rates is unknown. */
  goesOn?: boolean;
}
