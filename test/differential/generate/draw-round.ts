/** Draws a round by its seed: the mount options, and some sequences that share the mount, each in a directory of its own. */
import type { NamedSequence } from "../run/round.js";
import type { Control, Operation } from "../script/operation.js";
import type { LayerStorage, Mode, Setting } from "../script/script.js";
import { drawLayers } from "./layers.js";
import { Names } from "./names.js";
import { drawOperations, EVERYTHING, type Profile } from "./operations.js";
import { seededRandom } from "@sluice/testkit/random";
import { drawSweep } from "./sweep.js";

export interface Round {
  seed: number;
  setting: Setting;
  sequences: NamedSequence[];
}

export interface RoundShape {
  sequences: number;
  operations: number;
  profile?: Profile;
  setting?: Partial<Setting>;
  /** The number of remounts in between; drawn if omitted. */
  controls?: readonly Control[];
}

const MODES: readonly (readonly [number, Mode])[] = [
  [2, "unruled"],
  [3, "granted"],
  [4, "mediated"],
  [3, "mixed"],
  [1, "named"],
];
const STORAGES: readonly (readonly [number, LayerStorage])[] = [
  [4, "disk"],
  [1, "split"],
];
const REMOUNTS: readonly (readonly Control[])[] = [[], [], ["remount"], ["swap"], ["remount", "swap"]];
/** Its draws do not change those of the calls, so that seeds keep their sequences. */
const drawsMetacopy = (seed: number): boolean => seededRandom(seed * 31 + 17).once(3);
const CONTROL: Operation = { actor: "root", call: "remount", args: {} };

/** All sequences of a round are remounted together. */
function withControls(operations: readonly Operation[], controls: readonly Operation[]): Operation[] {
  const each = Math.ceil(operations.length / (controls.length + 1));
  return operations.flatMap((operation, index) => {
    const control = index > 0 && index % each === 0 ? controls[index / each - 1] : undefined;
    return control === undefined ? [operation] : [control, operation];
  });
}

/** Every call, or the given ones, once in every state. */
export function sweepRound(seed: number, setting: Setting, calls?: readonly string[]): Round {
  return { seed, setting, sequences: drawSweep(seed, calls) };
}

export function drawRound(seed: number, shape: RoundShape): Round {
  const random = seededRandom(seed);
  const setting: Setting = {
    mode: random.weighted(MODES),
    ground: random.weighted(STORAGES),
    lowers: 1 + random.below(3),
    readOnly: random.once(12),
    forgetful: random.once(4),
    index: !random.once(3),
    metacopy: drawsMetacopy(seed),
    ...shape.setting,
  };
  // Without an upper layer the kernel needs two (fs/overlayfs/super.c); Sluice accepts one.
  if (setting.readOnly) setting.lowers = Math.max(setting.lowers, 2);
  const controls = (shape.controls ?? random.of(REMOUNTS)).map((call) => ({ ...CONTROL, call }));
  const sequences = Array.from({ length: shape.sequences }, (_, index) => {
    const own = seededRandom(seed * 1009 + index);
    const names = new Names(own);
    const plants = drawLayers(own, names, setting.lowers);
    names.planted = plants.map(({ path }) => path);
    const operations = drawOperations(own, names, { count: shape.operations, profile: shape.profile ?? EVERYTHING });
    return { name: `s${index}`, plants, operations: withControls(operations, controls) };
  });
  return { seed, setting, sequences };
}
