/** The context that the phases of one mount share, from its start to its end. */
import type { MountDescription } from "@sluice/decision-api";
import type { Logger } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { KeeperSession } from "../keeper/keeper-session.js";
import type { MountEvents } from "../setup/mount-events.js";
import type { LayerHold } from "../shutdown/layer-hold.js";
import type { StopRequests } from "../shutdown/stop-requests.js";
import type { UndoStack } from "../shutdown/undo-stack.js";
import type { MountTelemetry } from "../telemetry/mount-telemetry.js";
import type { MountOwner } from "./mount-owner.js";
import type { OpenSpans } from "../tracing/open-spans.js";

export interface MountContext {
  config: MountConfig;
  owner: MountOwner;
  /** Undefined: this process holds the mount itself, or its layers are not open yet. */
  keeper: KeeperSession | undefined;
  logger: Logger;
  undo: UndoStack;
  stop: StopRequests;
  hold: LayerHold;
  /** Of the mount, "major:minor"; "" before there is one. */
  device: string;
  telemetry: MountTelemetry;
  events: MountEvents;
  /** Writes a line for a person to standard error. */
  tell(line: string): void;
  /** For the consoles of decision services; undefined until the mount serves. */
  describeMount?: (lookedAt: boolean) => MountDescription;
  /** Undefined: nothing is traced. */
  spans?: OpenSpans | undefined;
}
