/** What a mount's life needs from start to end, and what it is given by the program around it. */
import type { MountReport } from "@sluice/decision-api";
import type { KeeperLink } from "@sluice/keeper-link";
import type { Logger } from "@sluice/runtime";
import type { MountConfig } from "../config/mount-config.js";
import type { MountTelemetry } from "../telemetry/mount-telemetry.js";
import type { OpenSpans } from "../tracing/open-spans.js";
import type { AwaitedMount, BecomeKeeper } from "../keeper/start-keeper.js";
import type { LayerHold } from "../shutdown/layer-hold.js";
import type { MountEvents } from "../setup/mount-events.js";
import type { StartEmbeddedDecision } from "../setup/open-decider.js";
import type { StopRequests } from "../shutdown/stop-requests.js";
import type { UndoStack } from "../shutdown/undo-stack.js";

export interface MountHost {
  startEmbeddedDecision: StartEmbeddedDecision;
  /** What a keeper is to start as the server: this program. */
  serverProgram?: { file: string; argv: readonly string[] };
  /** This process becomes a keeper that waits for servers. Comes back only by throwing. */
  becomeAwaitingKeeper?: (kept: AwaitedMount) => never;
  /** This process becomes the keeper of a mount. Comes back only by throwing. */
  becomeKeeper?: BecomeKeeper;
  /** Is given the line that says that requests are served. Standard output where it is not here. */
  announce?: (line: string) => void;
}

/** The keeper whose mount this server serves. */
export interface Kept {
  link: KeeperLink;
  /** Where the sockets lie: the keeper's; undefined where this process makes its own. */
  runDirectory: string | undefined;
  /** The keeper did not start this process, and does not start the next: what ends it leaves the mount to whoever comes. */
  joined: boolean;
}

export interface Life {
  config: MountConfig;
  kept: Kept | undefined;
  logger: Logger;
  undo: UndoStack;
  stop: StopRequests;
  hold: LayerHold;
  /** Of the mount, "major:minor"; "" before there is one. */
  device: string;
  telemetry: MountTelemetry;
  events: MountEvents;
  /** For the consoles of decision services, from when it serves. */
  describeMount?: () => MountReport;
  /** Undefined: nothing is traced. */
  spans?: OpenSpans | undefined;
}
