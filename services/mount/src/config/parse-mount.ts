/** Parses the options of `sluice mount` to a MountConfig. It reads no file except its own user namespace. @throws CliError, exit code 2 */
import { resolve } from "node:path";
import { DecisionError, parseDurationMs, QUESTION_LIMITS } from "@sluice/decision-api";
import { parseTarget } from "@sluice/decision-client";
import { MS } from "@sluice/native";
import { inInitialNamespace, LOG_LEVELS, type LogLevel, parseHostPort, type TracingArguments, tracingOptions } from "@sluice/runtime";
import type { RequestedIdlePolling } from "@sluice/vfs";
import { wrong } from "@sluice/runtime/cli";
import { shownOf } from "../shown/shown-given.js";
import { isBeneath, type LowerList, MAX_LOWERS, type OnRevoke, parseLowerList } from "@sluice/mount-control";
import type {
  DecisionChoice,
  EmbeddedChoice,
  EngineChoice,
  KeeperChoice,
  LocksChoice,
  MountConfig,
  OnOutage,
  PrivilegeChoice,
  TransportChoice,
  UserIds,
} from "./mount-config.js";
import { parseOptionStrings } from "./option-string.js";
import type { OptionString } from "./option-values.js";
import { overlayOptions } from "./overlay-options.js";

/** The options of `sluice mount` as commander collects them. */
export interface MountArguments extends TracingArguments {
  /** The command handles these itself: see packages/cli/src/commands. */
  config?: string;
  background?: boolean;
  hostService?: string;
  /** That relative paths begin at; by default the working directory. */
  directory?: string;
  lower?: string[];
  upper?: string;
  work?: string;
  layersBeneath?: string;
  o?: string[];
  policy?: string;
  decision?: string;
  decisionCa?: string;
  decisionServerSan?: string;
  decisionCert?: string;
  decisionKey?: string;
  onOutage: string;
  onRevoke: string;
  staleFor: string;
  decisionTimeout: string;
  askTimeout?: string;
  answers?: string;
  grace: string;
  maxStackDepth: string;
  engine: string;
  transport: string;
  idlePolling: string;
  locks: string;
  keeper: string;
  keeperSocket?: string;
  privilege: string;
  user?: string;
  coherentReaders?: boolean;
  sharedLower?: boolean;
  recordBase?: string;
  formerUppers?: string;
  activityFile?: string;
  control?: string;
  admin?: string;
  name?: string;
  label?: string[];
  logLevel: string;
  logFile?: string;
  decisionLog?: string;
}

/** The id above it means "none". */
const MAX_ID = 0xffff_fffe;
const DEFAULT_CACHE_TTL_MS = 86_400_000;
/** How late the mount may show a change of a shared lower layer, as other network and FUSE file systems do. */
const SHARED_CACHE_TTL_MS = 1000;
const LONGEST_ASK_MS = 3_600_000;
/** Some 12 days: timers take at most twice that. */
const LONGEST_GRACE_MS = 2 ** 30;

/** @throws CliError, exit code 2 */
export function durationOption(text: string, option: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw wrong(option, `"${text}" is not a duration`, "write for instance 250ms, 30s or 5m");
  return ms;
}

/** Within it no answer comes, or a timer of Node does not take it: the service would refuse each question, and the mount ask again for ever. */
function decisionTimeoutOf(text: string): number {
  const ms = durationOption(text, "--decision-timeout");
  if (ms >= 1 && ms <= LONGEST_GRACE_MS) return ms;
  throw wrong("--decision-timeout", `"${text}" is not between 1 ms and 12 days`, "write for instance 5s");
}

function oneOf<T extends string>(value: string, allowed: readonly T[], option: string): T {
  const found = allowed.find((name) => name === value);
  if (found === undefined) throw wrong(option, `"${value}" is none of ${allowed.join(", ")}`, "choose one of them");
  return found;
}

function parseDecision(args: MountArguments): DecisionChoice {
  const { decisionCa, decisionCert, decisionKey, decisionServerSan: serverSan } = args;
  const file = (path: string | undefined): string | undefined => absolute(path, args);
  const tls = { caFile: file(decisionCa), certFile: file(decisionCert), keyFile: file(decisionKey), serverSan };
  const tlsGiven = Object.values(tls).some((given) => given !== undefined);
  if (args.policy !== undefined && args.decision !== undefined) {
    throw wrong("--policy", "cannot be combined with --decision", "give the policy to the decision service, or leave --decision out");
  }
  if (tlsGiven && args.decision === undefined) {
    throw wrong("--decision-ca/-cert/-key", "they need a --decision target, and none is given", "add --decision TARGET");
  }
  if ((decisionCert === undefined) !== (decisionKey === undefined)) {
    throw wrong("--decision-cert", "certificate and key go together", "give both --decision-cert and --decision-key");
  }
  if (args.policy !== undefined) return { kind: "embedded", policyFile: from(args, args.policy), ...askOptions(args) };
  const alone = args.askTimeout === undefined ? args.answers && "--answers" : "--ask-timeout";
  if (alone !== undefined)
    throw wrong(
      alone,
      "it is an option of the decision service, and this mount starts none",
      "add --policy, or give it to 'sluice decision'",
    );
  if (args.decision !== undefined) {
    checkTarget(args.decision);
    return { kind: "remote", target: args.decision, tls: tlsGiven ? tls : undefined };
  }
  return { kind: "none" };
}

function askOptions(args: MountArguments): Pick<EmbeddedChoice, "askTimeoutMs" | "answersFile"> {
  const { askTimeout, answers } = args;
  const askTimeoutMs = askTimeout === undefined ? undefined : durationOption(askTimeout, "--ask-timeout");
  if (askTimeoutMs !== undefined && askTimeoutMs > LONGEST_ASK_MS)
    throw wrong("--ask-timeout", "it is longer than an hour", "write 1h or less");
  return { askTimeoutMs, answersFile: absolute(answers, args) };
}

function checkTarget(target: string): void {
  try {
    parseTarget(target);
  } catch (error) {
    if (!(error instanceof DecisionError)) throw error;
    throw wrong("--decision", `'${target}' is not a target`, "write unix:///PATH, HOST:PORT or dns:///HOST:PORT");
  }
}

/** "UID" or "UID:GID", as numbers: names depend on a user database. */
function parseUser(text: string | undefined): UserIds | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  const [uid, gid] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (match === null || uid === 0 || uid > MAX_ID || gid > MAX_ID) {
    throw wrong("--user", `"${text}" is not UID or UID:GID of a user other than root`, "write for instance 1000:1000");
  }
  return { uid, gid };
}

function from({ directory = "" }: MountArguments, path: string): string {
  return resolve(directory, path);
}

function absolute(path: string | undefined, args: MountArguments): string | undefined {
  return path === undefined ? undefined : from(args, path);
}

type LayerLists = LowerList & { upper: string | undefined; work: string | undefined };

function lowerLayers(args: MountArguments, options: OptionString): LowerList {
  const inOptions = options.lowers !== undefined || options.dataLowers.length > 0;
  if (args.lower !== undefined && inOptions) {
    throw wrong("--lower", "-o lowerdir= names lower layers too", "give them once");
  }
  const lists = inOptions
    ? [{ lowers: options.lowers ?? [], dataLowers: options.dataLowers }]
    : (args.lower ?? []).map((list) => parseLowerList(list, "--lower"));
  const lowers = lists.flatMap((list) => list.lowers).map((path) => from(args, path));
  const dataLowers = lists.flatMap((list) => list.dataLowers).map((path) => from(args, path));
  if (lowers.length === 0) throw wrong("--lower", "no lower layer is given", "add --lower DIR");
  const count = lowers.length + dataLowers.length;
  if (count > MAX_LOWERS) {
    throw wrong("--lower", `${count} lower layers are more than the limit of ${MAX_LOWERS}`, "merge some of them into one");
  }
  return { lowers, dataLowers };
}

function layerLists(args: MountArguments, options: OptionString): LayerLists {
  const lowers = lowerLayers(args, options);
  const upper = pickOne(args.upper, options.upper, "--upper", "-o upperdir=");
  const work = pickOne(args.work, options.work, "--work", "-o workdir=");
  if (upper !== undefined && work === undefined) {
    throw wrong("--upper", "an upper layer needs a work directory", "add --work DIR, an empty directory on the same file system");
  }
  if (work !== undefined && upper === undefined) {
    throw wrong("--work", "a work directory needs an upper layer", "add --upper DIR, or leave --work out for a read-only mount");
  }
  return { ...lowers, upper: absolute(upper, args), work: absolute(work, args) };
}

function pickOne(flag: string | undefined, option: string | undefined, flagName: string, optionName: string): string | undefined {
  if (flag !== undefined && option !== undefined) throw wrong(flagName, `${optionName} is given too`, "give it once");
  const value = flag ?? option;
  if (value === "") throw wrong(flagName, "the name is empty", "name a directory");
  return value;
}

/** `resolve` has taken ".." out of every path by its text alone, so none of them leads back out of the directory. */
function beneathOf(args: MountArguments, { lowers, dataLowers, upper, work }: LayerLists): string | undefined {
  const directory = absolute(args.layersBeneath, args);
  if (directory === undefined) return undefined;
  const outside = [...lowers, ...dataLowers, upper, work].find((path) => path !== undefined && !isBeneath(path, directory));
  if (outside === undefined) return directory;
  throw wrong(outside, `this layer does not lie beneath ${directory} (EXDEV)`, "name a directory above all layers in --layers-beneath");
}

function recordOf(args: MountArguments, { upper }: LayerLists): string | undefined {
  const { recordBase, keeper } = args;
  if (recordBase === undefined) return undefined;
  if (upper === undefined) throw wrong("--record-base", "it needs an upper layer", "leave it out");
  if (keeper === "on") throw wrong("--record-base", "cannot be combined with --keeper on", "leave one of them out");
  return absolute(recordBase, args);
}

function formerUppersOf({ formerUppers = "0" }: MountArguments, { lowers }: LayerLists): number {
  if (/^\d{1,3}$/.test(formerUppers) && Number(formerUppers) < lowers.length) return Number(formerUppers);
  const most = lowers.length - 1;
  throw wrong(
    "--former-uppers",
    `"${formerUppers}" is not below the number of lower layers`,
    most === 0 ? "leave it out" : `give 0 to ${most}`,
  );
}

function decisionLogOf(args: MountArguments): string | undefined {
  const { decisionLog, policy } = args;
  if (decisionLog !== undefined && policy === undefined)
    throw wrong(
      "--decision-log",
      "it is an option of the decision service, and this mount starts none",
      "add --policy, or give it to 'sluice decision'",
    );
  return absolute(decisionLog, args);
}

const LABEL = /^([A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?)=(.*)$/s;

function parseLabels(given: readonly string[] = []): Readonly<Record<string, string>> | undefined {
  const labels = new Map<string, string>();
  for (const text of given) {
    const [, name = "", , value = ""] = LABEL.exec(text) ?? [];
    const { labelNameLength, labelLength } = QUESTION_LIMITS;
    if (name === "" || name.length > labelNameLength || value.length > labelLength)
      throw wrong("--label", `"${text}" is not NAME=VALUE`, `write a name of at most ${labelNameLength} letters, digits and ._-/`);
    if (labels.has(name)) throw wrong("--label", `${name} is given twice`, "give it once");
    labels.set(name, value);
  }
  if (labels.size > QUESTION_LIMITS.labels) throw wrong("--label", "there are too many", `give at most ${QUESTION_LIMITS.labels}`);
  return labels.size === 0 ? undefined : Object.fromEntries(labels);
}

export function parseMount(mountpoint: string, args: MountArguments): MountConfig {
  if (args.admin !== undefined) parseHostPort(args.admin, "--admin");
  const options = parseOptionStrings(args.o ?? []);
  const layers = layerLists(args, options);
  for (const path of [mountpoint, ...layers.lowers, ...layers.dataLowers, layers.upper ?? "", layers.work ?? ""]) {
    if (path.includes("\ufffd")) throw wrong(path, "the name is not valid UTF-8", "reach it by a symbolic link");
  }
  if (mountpoint === "") throw wrong("MOUNTPOINT", "the name is empty", "name an empty directory");
  const at = from(args, mountpoint);
  const readOnly = layers.upper === undefined;
  const sharedLower = args.sharedLower === true || options.sharedLower;
  return {
    mountpoint: at,
    ...layers,
    layersBeneath: beneathOf(args, layers),
    source: options.source ?? "sluice",
    mountFlags: readOnly ? options.setFlags | MS.RDONLY : options.setFlags,
    labels: [...options.labels].map(([name, label]) => `${name}="${label}"`),
    ...overlayOptions(options, { writable: !readOnly, trusted: inInitialNamespace() }),
    shown: shownOf(options.shown),
    nonEmpty: options.nonEmpty,
    allowOther: options.allowOther,
    cacheTtlMs: options.cacheTtlMs ?? (sharedLower ? SHARED_CACHE_TTL_MS : DEFAULT_CACHE_TTL_MS),
    maxStackDepth: oneOf(args.maxStackDepth, ["1", "2"], "--max-stack-depth") === "1" ? 1 : 2,
    engine: oneOf<EngineChoice>(args.engine, ["auto", "devfuse", "fuse-native"], "--engine"),
    transport: oneOf<TransportChoice>(args.transport, ["auto", "uring", "read"], "--transport"),
    idlePolling: oneOf<RequestedIdlePolling>(args.idlePolling, ["auto", "on", "off"], "--idle-polling"),
    locks: oneOf<LocksChoice>(args.locks, ["auto", "kernel", "daemon"], "--locks"),
    keeper: oneOf<KeeperChoice>(args.keeper, ["on", "off"], "--keeper"),
    privilege: oneOf<PrivilegeChoice>(args.privilege, ["auto", "strict"], "--privilege"),
    user: parseUser(args.user),
    coherentReaders: args.coherentReaders === true || options.coherentReaders,
    sharedLower,
    recordBase: recordOf(args, layers),
    formerUppers: formerUppersOf(args, layers),
    activityFile: absolute(args.activityFile, args),
    decision: parseDecision(args),
    onOutage: oneOf<OnOutage>(args.onOutage, ["deny", "mediate", "stale"], "--on-outage"),
    onRevoke: oneOf<OnRevoke>(args.onRevoke, ["report", "sigterm", "sigkill"], "--on-revoke"),
    staleForMs: durationOption(args.staleFor, "--stale-for"),
    decisionTimeoutMs: decisionTimeoutOf(args.decisionTimeout),
    graceMs: Math.min(durationOption(args.grace, "--grace"), LONGEST_GRACE_MS),
    name: args.name ?? at,
    policyLabels: parseLabels(args.label),
    control: absolute(args.control, args),
    admin: args.admin,
    tracing: tracingOptions(args),
    logLevel: oneOf<LogLevel>(args.logLevel, LOG_LEVELS, "--log-level"),
    logFile: absolute(args.logFile, args),
    decisionLog: decisionLogOf(args),
  };
}
