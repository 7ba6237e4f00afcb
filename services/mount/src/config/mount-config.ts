/** What one mount is made of, checked for form only: whether the machine and the paths fit is preflight's question. */

import type { OnRevoke } from "@sluice/mount-control";
import type { LogLevel, TracingOptions } from "@sluice/runtime";
import type { IdlePollingWish } from "@sluice/vfs";
import type { Shown } from "../shown/shown.js";
import type { OverlayOptions } from "./overlay-options.js";

export type OnOutage = "deny" | "mediate" | "stale";
/** "auto": devfuse, and fuse-native where the machine does not let devfuse mount. */
export type EngineChoice = "devfuse" | "fuse-native" | "auto";

/** Who keeps advisory locks. "auto": the daemon where a file can have two nodeIds; see setup/choose-locks.ts. */
export type LocksChoice = "kernel" | "daemon" | "auto";

/** Whether another process holds the mount beyond the server's death. */
export type KeeperChoice = "on" | "off";

export type PrivilegeChoice = "auto" | "strict";

/** What the kernel's requests come by; see setup/choose-transport.ts. */
export type TransportChoice = "auto" | "uring" | "read";

export interface UserIds {
  uid: number;
  gid: number;
}

export interface DecisionTlsFiles {
  caFile: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
}

/** Who decides. "none": no policy, everything is granted and nothing is asked. */
export type DecisionChoice =
  | { kind: "none" }
  | { kind: "embedded"; policyFile: string }
  | { kind: "remote"; target: string /** Undefined: no TLS. */; tls: DecisionTlsFiles | undefined };

export interface MountConfig extends OverlayOptions {
  /** Absolute; symbolic links are resolved by preflight. */
  mountpoint: string;
  /** Top first, absolute. Never empty. */
  lowers: readonly string[];
  /** Searched for the data of metadata-only files, in this order; absolute. Not part of the merged tree. */
  dataLowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  /** The mount point may hold files: the mount hides them. */
  nonEmpty: boolean;
  /** Asked for by name: it is so anyway, but for a server without privilege. */
  allowOther: boolean;
  shown: Shown;
  /** First column of /proc/mounts. */
  source: string;
  /** MS_ flags of mount(2). */
  mountFlags: number;
  /** SELinux labels of the whole mount, as words for mount(2). */
  labels: readonly string[];
  /** How long the kernel may keep names and attributes. */
  cacheTtlMs: number;
  maxStackDepth: 1 | 2;
  engine: EngineChoice;
  transport: TransportChoice;
  idlePolling: IdlePollingWish;
  locks: LocksChoice;
  keeper: KeeperChoice;
  /** "strict": the server registers no backing file itself, even where it could. */
  privilege: PrivilegeChoice;
  /** Whom the server runs as, without any capability; undefined: root, with those it needs. */
  user: UserIds | undefined;
  /** Nobody passes through to a lower file that can be copied up. */
  coherentReaders: boolean;
  /** Others change lower layers while they are mounted. */
  sharedLower: boolean;
  decision: DecisionChoice;
  onOutage: OnOutage;
  staleForMs: number;
  decisionTimeoutMs: number;
  /** What happens to whoever holds a file open by passthrough that the policy in force would not pass through. */
  onRevoke: OnRevoke;
  /** How long a server that is told to stop waits for the mount's users, before it cuts them off. */
  graceMs: number;
  /** Name of the mount in questions, policies and logs. */
  name: string;
  /** Control socket; undefined: derived from the mount point. */
  control: string | undefined;
  /** HOST:PORT of /metrics, /healthz and /readyz; undefined: none. */
  admin: string | undefined;
  /** Where spans of opens go; undefined: nothing is traced. */
  tracing: TracingOptions | undefined;
  logLevel: LogLevel;
  logFile: string | undefined;
}
