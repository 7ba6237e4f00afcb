/**
 * The options of a mount that an ordinary user may have made by the host service: an allow-list. A client sends them beside the descriptors
 * of its directories; no field is a path. The service takes nothing else, and reads nothing with other rights than the user's.
 */
import { basename } from "node:path";
import { MS } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";
import { LOG_LEVELS, type LogLevel } from "@sluice/runtime";
import type { LocksChoice, MountConfig, OnOutage } from "../../config/mount-config.js";
import { nothingShown, shownOf } from "../../shown/shown-given.js";

/** Raised with each change of the form. */
export const VERSION = 2;
/**
 * One record carries at most 253 descriptors: one of them is for the mount point, three are for upper layer, work directory and the directory
 * above both, one for the policy, and four for a session.
 */
export const MAX_USER_LOWERS = 200;

const XINO = ["on", "off", "auto"] as const;
const LOCKS: readonly LocksChoice[] = ["kernel", "daemon", "auto"];
const OUTAGE: readonly OnOutage[] = ["deny", "mediate", "stale"];
/** Of mount(2). Set-user-id programs and devices are off in any case. */
const FLAGS = MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.NOSYMFOLLOW | MS.NOATIME | MS.NODIRATIME | MS.RELATIME | MS.STRICTATIME;
const LONGEST_MS = 2 ** 31 - 1;
const LONGEST_NAME = 255;

export interface UserSpec {
  version: typeof VERSION;
  /** The mount ends with the connection. */
  attached: boolean;
  /** How many descriptors of lower layers follow that of the mount point. */
  lowers: number;
  /** Then come those of the directory above upper layer and work directory, of the upper layer, and of the work directory. */
  writable: boolean;
  /** Then comes that of a policy file, open for reading. */
  policy: boolean;
  /** The name of that file, which people's answers refer to. */
  policyName: string;
  /** Then come those of a session: its directory, and a socket whose other end is the session's own. */
  session: boolean;
  /** Of a session: then comes a listening socket for control. */
  control: boolean;
  /** Of a session: then comes the file of people's answers, open for reading and appending. */
  answers: boolean;
  /** Of a session: the decisions are logged in its directory. */
  decisionLog: boolean;
  formerUppers: number;
  mountFlags: number;
  xino: (typeof XINO)[number];
  nonEmpty: boolean;
  coherentReaders: boolean;
  sharedLower: boolean;
  cacheTtlMs: number;
  maxStackDepth: 1 | 2;
  locks: LocksChoice;
  onOutage: OnOutage;
  staleForMs: number;
  decisionTimeoutMs: number;
  askTimeoutMs: number | null;
  graceMs: number;
  /** Undefined: the mount point. */
  name: string | null;
  logLevel: LogLevel;
}

const OWN = "leave it out, or mount as root";

export function refuse(option: string, problem: string): never {
  throw wrong(option, problem, OWN);
}

/** Each option that the form has no field for, by the value that it has if it is left out. */
function refuseOthers(config: MountConfig): void {
  const root = "a mount that the host service makes for an ordinary user has none";
  const given: [option: string, isGiven: boolean, problem: string][] = [
    ["-o uuid=", config.uuid !== "auto", root],
    ["--lower", config.dataLowers.length > 0, root],
    ["-o index=on", config.index === "on", "a server without privilege opens no file by its handle"],
    ["-o foreign_marks=on", config.foreignMarks, root],
    ["-o volatile", config.volatile, "its witness of lost writes is a mount of root"],
    ["-o allow_other", config.allowOther, "the server acts as the mounter alone"],
    ["-o fsname=", config.source !== "sluice", "it could pass for another mount in the mount table"],
    ["-o context=", config.labels.length > 0, root],
    [
      "-o uidmapping, gidmapping, squash",
      JSON.stringify(config.shown) !== JSON.stringify(shownOf(nothingShown())),
      "owners are not mapped",
    ],
    ["--engine fuse-native", config.engine === "fuse-native", root],
    ["--transport uring", config.transport === "uring", root],
    ["--idle-polling on", config.idlePolling === "on", root],
    ["--user", config.user !== undefined, "the server runs as the caller"],
    ["--privilege strict", config.privilege === "strict", "it is so in any case"],
    ["--decision", config.decision.kind === "remote", "the service would connect in the caller's place: give --policy"],
    ["--answers", config.decision.kind === "embedded" && config.decision.answersFile !== undefined, root],
    ["--on-revoke", config.onRevoke !== "report", "the service would send signals in the caller's place"],
    ["--layers-beneath", config.layersBeneath !== undefined, "its layers are opened by the caller"],
    ["--record-base", config.recordBase !== undefined, root],
    ["--activity-file", config.activityFile !== undefined, root],
    ["--label", config.policyLabels !== undefined, root],
    ["--control", config.control !== undefined, root],
    ["--admin", config.admin !== undefined, root],
    ["--tracing-endpoint", config.tracing !== undefined, root],
    ["--log-file", config.logFile !== undefined, "stay in the foreground to see the log"],
    ["--decision-log", config.decisionLog !== undefined, root],
  ];
  for (const [option, isGiven, problem] of given) if (isGiven) refuse(option, problem);
  if (config.lowers.length > MAX_USER_LOWERS) refuse("--lower", `an ordinary user may have ${MAX_USER_LOWERS} layers`);
  if ((config.mountFlags & ~FLAGS) !== 0) refuse("-o", "sync, dirsync and lazytime are for root");
}

/** The files of a session beside its layers: see `UserSpec`. */
export type SessionParts = Pick<UserSpec, "control" | "answers" | "decisionLog">;

/**
 * For a client: the form of `config`, whose marks are user.* attributes. The mount ends with the connection if `attached`.
 * @throws CliError if it has an option that is not on the list
 */
export function specOf(config: MountConfig, attached: boolean): UserSpec {
  refuseOthers(config);
  const { decision, lowers, upper, mountFlags, xino, nonEmpty, coherentReaders, sharedLower, cacheTtlMs, maxStackDepth } = config;
  const { locks, onOutage, staleForMs, decisionTimeoutMs, graceMs, name, mountpoint, logLevel, formerUppers } = config;
  return {
    version: VERSION,
    attached,
    lowers: lowers.length,
    writable: upper !== undefined,
    policy: decision.kind === "embedded",
    policyName: decision.kind === "embedded" ? nameOfPolicy(decision.policyFile) : POLICY_NAME,
    ...{ session: false, control: false, answers: false, decisionLog: false },
    formerUppers,
    mountFlags,
    xino,
    nonEmpty,
    coherentReaders,
    sharedLower,
    cacheTtlMs,
    maxStackDepth,
    locks,
    onOutage,
    staleForMs,
    decisionTimeoutMs,
    askTimeoutMs: decision.kind === "embedded" ? (decision.askTimeoutMs ?? null) : null,
    graceMs,
    name: name === mountpoint ? null : name,
    logLevel,
  };
}

const POLICY_NAME = "policy.yaml";

/** The name under which the service keeps the file. */
export function nameOfPolicy(path: string): string {
  const name = basename(path);
  return isPolicyName(name) ? name : POLICY_NAME;
}

type Check = (value: unknown) => boolean;

const isBoolean: Check = (value) => typeof value === "boolean";
const isOneOf =
  (allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value);
const isCount =
  (most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
/** Control characters could end a line of a log. */
const isName: Check = (value) =>
  typeof value === "string" && value.length > 0 && value.length <= LONGEST_NAME && !/[\p{Cc}\p{Cf}]/u.test(value);
/** Of a file in the directory of the mount's sockets, and of no other kind of policy than the name says. */
const isPolicyName: Check = (value) => isName(value) && /^[^/]*\.ya?ml$/.test(value as string);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const FORM: Readonly<Record<keyof UserSpec, Check>> = {
  version: isOneOf([VERSION]),
  attached: isBoolean,
  lowers: (value) => isCount(MAX_USER_LOWERS)(value) && value !== 0,
  writable: isBoolean,
  policy: isBoolean,
  policyName: isPolicyName,
  session: isBoolean,
  control: isBoolean,
  answers: isBoolean,
  decisionLog: isBoolean,
  formerUppers: isCount(MAX_USER_LOWERS),
  mountFlags: (value) => isCount(LONGEST_MS)(value) && ((value as number) & ~FLAGS) === 0,
  xino: isOneOf(XINO),
  nonEmpty: isBoolean,
  coherentReaders: isBoolean,
  sharedLower: isBoolean,
  cacheTtlMs: isCount(LONGEST_MS),
  maxStackDepth: isOneOf([1, 2]),
  locks: isOneOf(LOCKS),
  onOutage: isOneOf(OUTAGE),
  staleForMs: isCount(LONGEST_MS),
  decisionTimeoutMs: isCount(LONGEST_MS),
  askTimeoutMs: orNull(isCount(LONGEST_MS)),
  graceMs: isCount(LONGEST_MS),
  name: orNull(isName),
  logLevel: isOneOf(LOG_LEVELS),
};

/** For the service: the form, from bytes that a user sent; undefined if they are no such form. */
export function parseSpec(text: string): UserSpec | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof given !== "object" || given === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(given));
  const names = Object.keys(FORM) as (keyof UserSpec)[];
  if (fields.size !== names.length || names.some((name) => !FORM[name](fields.get(name)))) return undefined;
  const spec = given as UserSpec;
  const hasParts = spec.control || spec.answers || spec.decisionLog;
  return spec.formerUppers > spec.lowers || (hasParts && !spec.session) ? undefined : spec;
}

/** The paths that stand for the descriptors, and the rest of the configuration that the form leaves no choice for. */
export interface SpecPlaces {
  mountpoint: string;
  lowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  policyFile: string | undefined;
  user: { uid: number; gid: number };
}

export function configOf(spec: UserSpec, { mountpoint, lowers, upper, work, policyFile, user }: SpecPlaces): MountConfig {
  const { askTimeoutMs, xino, nonEmpty, coherentReaders, sharedLower, cacheTtlMs, maxStackDepth, locks, onOutage } = spec;
  const { staleForMs, decisionTimeoutMs, graceMs, logLevel, name } = spec;
  return {
    ...{ mountpoint, lowers, dataLowers: [], upper, work, user, source: "sluice", labels: [], shown: shownOf(nothingShown()) },
    mountFlags: spec.mountFlags | MS.NOSUID | MS.NODEV | (upper === undefined ? MS.RDONLY : 0),
    ...{ userXattr: true, redirectDir: "nofollow", metacopy: false, index: "off", uuid: "auto", foreignMarks: false, volatile: false },
    ...{ xino, nonEmpty, coherentReaders, sharedLower, cacheTtlMs, maxStackDepth, locks, onOutage, staleForMs, decisionTimeoutMs, graceMs },
    ...{ allowOther: false, engine: "devfuse", transport: "auto", idlePolling: "off", keeper: "on", privilege: "auto", onRevoke: "report" },
    decision: policyFile === undefined ? { kind: "none" } : { kind: "embedded", policyFile, askTimeoutMs: askTimeoutMs ?? undefined },
    ...{ name: name ?? mountpoint, logLevel, logFile: undefined, decisionLog: undefined, control: undefined, admin: undefined },
    ...{ tracing: undefined, recordBase: undefined, activityFile: undefined },
    ...{ formerUppers: spec.formerUppers, policyLabels: undefined, layersBeneath: undefined },
  };
}
