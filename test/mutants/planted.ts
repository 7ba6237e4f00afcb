/**
 * Plants bugs in the programs. One bundle has all bugs of a list, and the environment of a mount names the one that it has: a server
 * with a bug starts as fast as one without. The built code and the commands of the checkout do not change.
 */
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch, type SluiceMountOptions } from "@sluice/testkit";
import type { Plugin } from "rolldown";
import { writeBundle } from "../../packages/dev/bundle.mjs";
import type { Patch } from "./mutants.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The name of the bug that a program has. */
const SWITCH = "SLUICE_PLANTED_BUG";

interface Bug {
  name: string;
  patches: readonly Patch[];
}

/** A node of the syntax tree, as far as it is looked at. */
interface Syntax {
  type: string;
  start: number;
  end: number;
  body?: unknown;
}

/** The options of `mountSluice` for a mount that has the bug. */
export type Planted = Pick<SluiceMountOptions, "program" | "env">;

const isSyntax = (value: unknown): value is Syntax =>
  typeof value === "object" && value !== null && "type" in value && "start" in value && "end" in value;

/** The body of the outermost function that has the text from `start` to `end` in its body. */
function functionAround(node: Syntax, start: number, end: number): Syntax | undefined {
  const { body } = node;
  if (/Function/.test(node.type) && isSyntax(body) && body.type === "BlockStatement" && body.start < start && end < body.end) return body;
  for (const child of Object.values(node).flat().filter(isSyntax)) {
    const found = child.start <= start && end <= child.end ? functionAround(child, start, end) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The module, with a second body for each function that a bug changes, of which the switch selects one. */
function withBugs(code: string, tree: Syntax, bugs: readonly Bug[]): string {
  const bodies = new Map<number, { end: number; variants: Map<string, string> }>();
  for (const { name, patches } of bugs) {
    for (const { file, find, replace } of patches) {
      const at = code.indexOf(find);
      const body = at < 0 ? undefined : functionAround(tree, at, at + find.length);
      if (body === undefined) throw new Error(`the bug lies in no function of ${file}: ${find}`);
      const known = bodies.get(body.start) ?? { end: body.end, variants: new Map<string, string>() };
      const before = known.variants.get(name) ?? code.slice(body.start, body.end);
      known.variants.set(
        name,
        before.replace(find, () => replace),
      );
      bodies.set(body.start, known);
    }
  }
  let text = code;
  for (const [start, { end, variants }] of [...bodies].toSorted(([a], [b]) => b - a)) {
    const chosen = [...variants].map(
      ([name, body]) => `if (process.env[${JSON.stringify(SWITCH)}] === ${JSON.stringify(name)}) ${body} else `,
    );
    text = `${text.slice(0, start)}{ ${chosen.join("")}${code.slice(start, end)} }${text.slice(end)}`;
  }
  return text;
}

function planting(bugs: readonly Bug[]): Plugin {
  return {
    name: "planted bugs",
    transform(code, id) {
      const here = bugs
        .map(({ name, patches }) => ({ name, patches: patches.filter(({ file }) => id.endsWith(`/${file}`)) }))
        .filter(({ patches }) => patches.length > 0);
      return here.length === 0 ? undefined : withBugs(code, this.parse(code) as Syntax, here);
    },
  };
}

/** Builds programs that can have each of the bugs; they are removed when the test file ends. */
export async function plantBugs(bugs: readonly Bug[]): Promise<(name: string) => Planted> {
  const out = scratch();
  // Packages that stay outside of a bundle are found from it.
  symlinkSync(join(ROOT, "node_modules"), join(out, "node_modules"));
  await writeBundle(out, [planting(bugs)]);
  return (name) => ({ program: join(out, "packages/cli/dist/main.js"), env: { [SWITCH]: name } });
}

function textOf({ file }: Patch): string {
  const place = ["packages", "services"].map((group) => `${ROOT}${group}/${file}`).find((path) => existsSync(path));
  return place === undefined ? "" : readFileSync(place, "utf8");
}

/** Each text that is not found exactly once, with the name of its bug. */
export function misfits(planted: readonly Bug[]): string[] {
  return planted.flatMap(({ name, patches }) =>
    patches.filter((patch) => textOf(patch).split(patch.find).length !== 2).map(({ file }) => `${name}: ${file}`),
  );
}
