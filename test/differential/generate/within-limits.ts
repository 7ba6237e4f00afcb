/**
 * Fits a drawn round to the portable engine: leaves out the calls and plants that would only show a limit which the engine
 * declares (packages/engine-fuse-native/README.md). Each rule names the limit; test/portable shows the limits themselves.
 */
import { type EngineCapabilityName, S, UTIME } from "@sluice/vfs";
import type { Entry } from "../../conformance/tree/tree.js";
import type { NamedSequence } from "../run/round.js";
import { isControl, type Operation } from "../script/operation.js";
import type { Plant } from "../script/script.js";
import type { Round } from "./draw-round.js";

const PRIVILEGED = 0o6000;
const MS = 1_000_000;
const NOT_TEXT = /[\x80-\xff]/;

/** Tests for calls beyond a limit, by the limit's name. */
const BEYOND: Partial<Record<EngineCapabilityName, (operation: Operation) => boolean>> = {
  // New objects belong to the daemon's user: every other user would own different objects.
  callerIdentity: ({ actor, args }) => actor !== "root" || ((Number(args["mode"] ?? 0) & PRIVILEGED) !== 0 && args["path"] !== undefined),
  nanosecondTimes: ({ args }) => Number(args["sec"] ?? 0) < 0 || (args["nsec"] !== UTIME.NOW && Number(args["nsec"] ?? 0) % MS !== 0),
  emptyChown: ({ call, args }) => /chown/.test(call) && args["uid"] === -1 && args["gid"] === -1,
  renameFlags: ({ call, args }) => call === "rename" && args["flags"] !== 0,
  hardLinksShareInode: ({ call }) => /^(link|linkfd|flock)$/.test(call),
  suidAndDevices: ({ call, args }) => call === "mknod" && (Number(args["mode"]) & S.IFMT) === S.IFCHR,
  fallocate: ({ call }) => call === "fallocate",
  seekHole: ({ call }) => call === "seek",
  tmpfile: ({ call }) => call === "tmpfile",
  posixAcl: ({ args }) => String(args["name"] ?? "").startsWith("system."),
  clearsPrivileges: ({ call, args }) => /chmod/.test(call) && (Number(args["mode"]) & PRIVILEGED) !== 0,
  byteNames: ({ args }) => NOT_TEXT.test(`${String(args["path"] ?? "")}${String(args["to"] ?? "")}`),
};

function isWithin(operation: Operation): boolean {
  return isControl(operation.call) || !Object.values(BEYOND).some((goesPast) => goesPast(operation));
}

/** Returns the entry without setuid, setgid and ACLs; undefined for the further name of a file, and for a device. */
function plain(entry: Entry): Entry | undefined {
  if (entry.kind === "hard-link" || entry.kind === "device") return undefined;
  if (!("traits" in entry)) return entry;
  const { mode, xattrs = {}, ...rest } = entry.traits;
  const ordinary = Object.entries(xattrs).filter(([name]) => !name.startsWith("system."));
  const traits = { ...rest, ...(mode === undefined ? {} : { mode: mode & ~PRIVILEGED }), xattrs: Object.fromEntries(ordinary) };
  return { ...entry, traits } as Entry;
}

function plainPlants(plants: readonly Plant[]): Plant[] {
  return plants.flatMap((plant) => {
    const entry = NOT_TEXT.test(plant.path) ? undefined : plain(plant.entry);
    return entry === undefined ? [] : [{ ...plant, entry }];
  });
}

function withinSequence(sequence: NamedSequence): NamedSequence {
  const operations = sequence.operations.map(
    (operation): Operation => (isControl(operation.call) ? operation : { ...operation, actor: "root" }),
  );
  return { ...sequence, plants: plainPlants(sequence.plants), operations: operations.filter(isWithin) };
}

export function withinLimits(round: Round): Round {
  return { ...round, sequences: round.sequences.map(withinSequence) };
}
