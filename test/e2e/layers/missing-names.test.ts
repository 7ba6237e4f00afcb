/** Look-ups after many names were missed in a directory: the mount then knows which names its lower layers lack. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  directory,
  eventually,
  mountSluice,
  mountsShareProcess,
  plant,
  publicFile,
  requires,
  scratch,
  scriptOutput,
  type Tree,
  whiteout,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const MISSED = 200;
/** The mount's timeout is a second; the rest is for a busy machine. */
const SOON_MS = 60_000;
const LAYERS = 4;
const NAMES_A_LAYER = 40;

/** Asks for names that no layer has, then prints the wanted names that exist, each with its content. */
async function found(at: string, wanted: readonly string[]): Promise<string[]> {
  const misses = `i=0; while [ $i -lt ${MISSED} ]; do [ -e missing-$i ] && echo "missing-$i exists"; i=$((i+1)); done`;
  const looks = 'for name; do [ -f "$name" ] && cat "$name"; [ -d "$name" ] && echo "$name/"; done; true';
  const output = await scriptOutput(["sh", "-c", `cd "$0" || exit; ${misses}; ${looks}`, at, ...wanted]);
  return output.split("\n").filter(Boolean);
}

const nameIn = (layer: number, index: number): string => `layer${layer}-${index}`;

function layerTree(layer: number): Tree {
  const tree: Record<string, Tree[string]> = {
    "d/": directory(),
    "d/all": publicFile(`all ${layer}\n`),
    [`d/only-dir-${layer}/f`]: publicFile("f\n"),
  };
  for (let index = 0; index < NAMES_A_LAYER; index++) tree[`d/${nameIn(layer, index)}`] = publicFile(`${nameIn(layer, index)}\n`);
  return tree;
}

test("finds the names of all layers, and of no others, after many missing ones", async () => {
  const trees = Array.from({ length: LAYERS }, (_, layer) => layerTree(layer));
  Object.assign(trees[1] as Tree, { [`d/${nameIn(3, 0)}`]: whiteout() });
  const mount = await mountSluice({ lowers: trees.map((tree) => plant(scratch(), tree)) as [string, ...string[]], upper: scratch() });
  const names = Array.from({ length: LAYERS * NAMES_A_LAYER }, (_, at) => nameIn(at % LAYERS, Math.floor(at / LAYERS)));
  const shown = names.filter((name) => name !== nameIn(3, 0));
  const directories = Array.from({ length: LAYERS }, (_, layer) => `only-dir-${layer}`);
  const expected = [...shown, "all 0", ...directories.map((name) => `${name}/`)];
  expect(await found(mount.path("d"), [...names, "all", ...directories])).toEqual(expected);
  await scriptOutput(["sh", "-c", 'cd "$0" && echo made > missing-1 && rm all && mv layer2-7 missing-2', mount.path("d")]);
  expect(await scriptOutput(["cat", mount.path("d", "missing-1"), mount.path("d", "missing-2")])).toBe("made\nlayer2-7\n");
  expect(await scriptOutput(["sh", "-c", 'cd "$0"; ls all layer2-7 2>/dev/null | wc -l', mount.path("d")])).toBe("0\n");
});

test("with --shared-lower, finds a name that others add after many missing ones", async () => {
  const lower = plant(scratch(), { "d/": directory(), "d/a": publicFile("a\n") });
  const mount = await mountSluice({ lowers: [lower], upper: scratch(), args: ["--shared-lower"] });
  expect(await found(mount.path("d"), ["a"])).toEqual(["a"]);
  writeFileSync(join(lower, "d", "missing-3"), "added\n", { mode: 0o666 });
  const read = async (): Promise<string> => scriptOutput(["sh", "-c", 'cat "$0" 2>/dev/null; true', mount.path("d", "missing-3")]);
  await eventually("the added name is there", SOON_MS, async () => (await read()) === "added\n");
});
