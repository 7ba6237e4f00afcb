/** Tracing of one mount, if its configuration asks for it. */
import type { Decider } from "@sluice/decision-api";
import { type Logger, startTracing } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { UndoStack } from "../shutdown/undo-stack.js";
import { OpenSpans } from "./open-spans.js";
import { tracedDecider } from "./traced-decider.js";

export interface MountTracing {
  spans: OpenSpans;
  /** The same decider, with a span for each question. */
  decider(inner: Decider): Decider;
}

/** Undefined: nothing is traced, and requests take no detour. */
export async function openTracing(config: MountConfig, logger: Logger, undo: UndoStack): Promise<MountTracing | undefined> {
  if (config.tracing === undefined) return undefined;
  const tracing = await startTracing("sluice-mount", config.tracing, logger);
  undo.push("send the last spans", () => tracing.close());
  return { spans: new OpenSpans(tracing, config.name), decider: (inner) => tracedDecider(inner, tracing) };
}
