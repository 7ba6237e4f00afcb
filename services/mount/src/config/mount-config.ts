/** The configuration of one mount. Its form is checked; preflight checks the machine and the paths. */

import type { OnRevoke } from "@sluice/mount-control";
import type { LogLevel, TracingOptions } from "@sluice/runtime";
import type { RequestedIdlePolling } from "@sluice/vfs";
import type { Shown } from "../shown/shown.js";
import type { OverlayOptions } from "./overlay-options.js";

export type OnOutage = "deny" | "mediate" | "stale";
/** "auto": devfuse, or fuse-native if the machine does not let devfuse mount. */
export type EngineChoice = "devfuse" | "fuse-native" | "auto";

/** The owner of advisory locks. "auto": the daemon if a file can have two nodeIds; see setup/choose-locks.ts. */
export type LocksChoice = "kernel" | "daemon" | "auto";

/** Whether another process holds the mount, so that it survives its server. */
export type KeeperChoice = "on" | "off";

export type PrivilegeChoice = "auto" | "strict";

/** How the kernel's requests arrive; see setup/choose-transport.ts. */
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

export interface EmbeddedChoice {
  kind: "embedded";
  policyFile: string;
  /** How long a caller waits for a person; undefined: as the service has it. */
  askTimeoutMs?: number | undefined;
  /** The file of people's answers that hold until they are revoked; undefined: no answer does. */
  answersFile?: string | undefined;
}

/** The decision service. "none": no policy, so every open is granted without a question. */
export type DecisionChoice =
  | { kind: "none" }
  | EmbeddedChoice
  | { kind: "remote"; target: string /** Undefined: no TLS. */; tls: DecisionTlsFiles | undefined };

export interface MountConfig extends OverlayOptions {
  /** Absolute; symbolic links are resolved by preflight. */
  mountpoint: string;
  /** Top first, absolute. Never empty. */
  lowers: readonly string[];
  /** Layers with the data of metadata-only files, in search order; absolute. They are not part of the merged tree. */
  dataLowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  /** Every layer lies beneath this directory, absolute, and no symbolic link is followed below it; undefined: links are followed. */
  layersBeneath: string | undefined;
  /** By path, the identities of the layers that preflight looked at there; undefined before preflight, and without `layersBeneath`. */
  checkedLayers?: Readonly<Record<string, string>> | undefined;
  /** The mount point may hold files: the mount hides them. */
  nonEmpty: boolean;
  /** The option allow_other. It is always in force, except for a server without privilege. */
  allowOther: boolean;
  shown: Shown;
  /** First column of /proc/mounts. */
  source: string;
  /** MS_ flags of mount(2). */
  mountFlags: number;
  /** SELinux labels of the whole mount, as words for mount(2). */
  labels: readonly string[];
  /** How long the kernel may cache names and attributes. */
  cacheTtlMs: number;
  maxStackDepth: 1 | 2;
  engine: EngineChoice;
  transport: TransportChoice;
  idlePolling: RequestedIdlePolling;
  locks: LocksChoice;
  keeper: KeeperChoice;
  /** "strict": the server registers no backing file itself, even if it could. */
  privilege: PrivilegeChoice;
  /** The user that the server runs as, without any capability; undefined: root, with the capabilities that it needs. */
  user: UserIds | undefined;
  /** Opens of lower files that can be copied up are mediated. */
  coherentReaders: boolean;
  /** Other programs change the lower layers while they are mounted. */
  sharedLower: boolean;
  /** So many of the topmost lower layers were its upper layer before: policies know them as "upper". */
  formerUppers: number;
  /** The directory of the record of the lower objects that the upper layer replaces; undefined: none is written. */
  recordBase: string | undefined;
  /** The file with the opens and denials by program; undefined: none is written. */
  activityFile: string | undefined;
  decision: DecisionChoice;
  onOutage: OnOutage;
  staleForMs: number;
  decisionTimeoutMs: number;
  /** What to do with holders of revoked passthrough opens. */
  onRevoke: OnRevoke;
  /** How long a stopping server waits for the users of the mount before it cuts them off. */
  graceMs: number;
  /** Name of the mount in questions, policies and logs. */
  name: string;
  /** Facts about the mount for policies, by name; undefined: none. */
  policyLabels: Readonly<Record<string, string>> | undefined;
  /** Control socket; undefined: derived from the mount point. */
  control: string | undefined;
  /** HOST:PORT of /metrics, /healthz and /readyz; undefined: none. */
  admin: string | undefined;
  /** The collector for spans of opens; undefined: nothing is traced. */
  tracing: TracingOptions | undefined;
  logLevel: LogLevel;
  logFile: string | undefined;
  /** The file for the decisions of the embedded decision service; undefined: none are logged. */
  decisionLog: string | undefined;
}
