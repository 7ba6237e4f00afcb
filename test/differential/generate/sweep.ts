/**
 * Every call on an object in every state, independent of chance: a sequence for each state, with some calls before and after.
 */
import { O } from "@sluice/vfs";
import { dir, type Entry, file, hardLink, whiteout } from "../../conformance/tree/tree.js";
import { DIRECTORY_STATES, impossibleBecause } from "../coverage/impossible-cells.js";
import { STATES, type State } from "../run/object-state.js";
import type { NamedSequence } from "../run/round.js";
import type { Args, Operation } from "../script/operation.js";
import type { Plant } from "../script/script.js";
import { Names } from "./names.js";
import { drawArguments, EVERYTHING } from "./operations.js";
import { type Random, seededRandom } from "@sluice/testkit/random";

const SLOT = 0;
const root = (call: string, args: Args): Operation => ({ actor: "root", call, args });
const content = (text: string): Entry => file(text, { mode: 0o666 });
const full = (): Entry => dir({}, { mode: 0o777 });
const opaqueDirectory = (): Entry => dir({}, { mode: 0o777, xattrs: { "trusted.overlay.opaque": "y" } });

/** An object at `path` in that state: the contents of the layers, and the calls that bring it there. */
interface Staging {
  plants: (path: string) => readonly Plant[];
  before?: (path: string) => readonly Operation[];
}

/** Both kinds come in the states that both can have. */
function fileOrDirectory(directory: boolean): { make: () => Entry; inside: (layer: Plant["layer"], path: string) => Plant[] } {
  return {
    make: () => (directory ? full() : content("content of a file")),
    inside: (layer, path) => (directory ? [{ layer, path: `${path}/inside`, entry: content("inside") }] : []),
  };
}

function stagingOf(state: State, directory: boolean): Staging {
  const { make, inside } = fileOrDirectory(directory);
  switch (state) {
    case "lower":
    case "unlinked-open":
      return { plants: (path) => [{ layer: "lower0", path, entry: make() }, ...inside("lower0", path)] };
    case "upper":
      return { plants: (path) => [{ layer: "upper", path, entry: make() }, ...inside("upper", path)] };
    case "merged":
      return {
        plants: (path) => [
          { layer: "upper", path, entry: full() },
          { layer: "lower0", path, entry: full() },
          { layer: "lower0", path: `${path}/inside`, entry: content("inside") },
        ],
      };
    case "whiteout":
      return {
        plants: (path) => [
          { layer: "upper", path, entry: whiteout() },
          { layer: "lower0", path, entry: make() },
        ],
      };
    case "opaque":
      return {
        plants: (path) => [
          { layer: "upper", path, entry: opaqueDirectory() },
          { layer: "lower0", path: `${path}/hidden`, entry: content("hidden") },
        ],
      };
    case "redirected":
      return {
        plants: (path) => [{ layer: "lower0", path: `${path}.was/inside`, entry: content("inside") }],
        before: (path) => [root("rename", { path: `${path}.was`, to: path, flags: 0 })],
      };
    case "hard-linked":
      return {
        plants: (path) => [
          { layer: "lower0", path, entry: content("content with two names") },
          { layer: "lower0", path: `${path}.other`, entry: hardLink(path) },
        ],
      };
    case "absent":
      return { plants: () => [] };
  }
}

function opening(path: string, directory: boolean, random: Random): Operation {
  const flags = directory ? O.RDONLY | O.DIRECTORY : random.of([O.RDWR, O.RDWR, O.RDONLY]);
  return root("open", { slot: SLOT, path, flags: flags | O.NONBLOCK, mode: 0 });
}

/** Calls that show the effect of the call. */
const looks = (path: string): Operation[] => [root("stat", { path }), root("read", { path }), root("list", { path })];

interface Cell {
  call: string;
  state: State;
  /** The object is the second name. */
  second: boolean;
  path: string;
}

function operationsFor({ call, state, second, path }: Cell, directory: boolean, random: Random): Operation[] {
  const drawn = drawArguments(random, new Names(random), call);
  const aside = `${path}.aside`;
  const named = second ? { path: aside, to: path } : { path, ...(drawn["to"] === undefined ? {} : { to: `${path}.new` }) };
  const bySlot = drawn["slot"] !== undefined && call !== "open" && call !== "tmpfile";
  const args: Args = {
    ...drawn,
    ...(bySlot ? { slot: SLOT } : {}),
    ...(drawn["path"] === undefined ? {} : named),
    ...(bySlot && drawn["to"] !== undefined ? { to: `${path}.new` } : {}),
  };
  const own: Args = bySlot && second ? { ...args, to: path } : args;
  const { before } = stagingOf(state, directory);
  return [
    ...(before?.(path) ?? []),
    ...(second ? [root("create", { path: aside, text: "aside", mode: 0o644 })] : []),
    ...(bySlot ? [opening(second ? aside : path, directory && !second, random)] : []),
    ...(state === "unlinked-open" ? [root("unlink", { path: directory ? `${path}/inside` : path })] : []),
    ...(state === "unlinked-open" && directory ? [root("rmdir", { path })] : []),
    root(call, own),
    ...(bySlot ? [root("fstat", { slot: SLOT }), root("close", { slot: SLOT })] : []),
    ...looks(path),
  ];
}

function sequenceOf(state: State, directory: boolean, { random, calls }: { random: Random; calls: readonly string[] }): NamedSequence {
  const cells = calls.flatMap((call) => {
    const to = drawArguments(random, new Names(random), call)["to"] !== undefined;
    const rows = to ? [call, `${call} to`] : [call];
    return rows
      .filter((row) => impossibleBecause(row, state) === undefined)
      .map((row): Cell => ({ call, state, second: row !== call, path: row.replace(" ", "-") }));
  });
  const staging = stagingOf(state, directory);
  return {
    name: `${state}${directory ? "-directory" : ""}`,
    plants: cells.flatMap(({ path }) => staging.plants(path)),
    operations: cells.flatMap((cell) => operationsFor(cell, directory, random)),
  };
}

/** Two sequences for the states that files and directories can have. */
export function drawSweep(seed: number, calls: readonly string[] = Object.keys(EVERYTHING)): NamedSequence[] {
  const draw = { random: seededRandom(seed), calls };
  return STATES.flatMap((state) => {
    if (DIRECTORY_STATES.includes(state)) return [sequenceOf(state, true, draw)];
    return state === "hard-linked" ? [sequenceOf(state, false, draw)] : [sequenceOf(state, false, draw), sequenceOf(state, true, draw)];
  });
}
