/** Prints a review: a line for each change, a patch, a table of lines, paths, or JSON. */
import {
  type Difference,
  differenceLine,
  forTerminal,
  missingInPatch,
  parentsOf,
  patchesOf,
  reportOf,
  shownDifferences,
  statLines,
  summaryOf,
} from "@sluice/changes";
import { escapeName, escapeTextName } from "@sluice/runtime/cli";
import { heldBackIn, type Review } from "./session-changes.js";

export interface ReviewForm {
  patch?: boolean;
  stat?: boolean;
  nameOnly?: boolean;
  json?: boolean;
}

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

/** Waits while a pipe is full, since a patch may be large. */
async function print(text: string | Buffer): Promise<void> {
  if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once("drain", resolve));
}

async function printPatch(review: Review, all: readonly Difference[], byPath: ReadonlyMap<string, Difference>): Promise<void> {
  const { stack } = review;
  const held = new Map(heldBackIn(review).map((one) => [one.path, one]));
  const shown = all.filter(({ path }) => !held.has(path));
  for (const { path, heldBack = "" } of held.values())
    process.stderr.write(`sluice: ${escapeName(path)}: the patch does not hold it unless you name it: ${escapeTextName(heldBack)}\n`);
  for (const [, patches] of patchesOf(stack, shown, byPath))
    for (const { text } of patches) await print(process.stdout.isTTY ? forTerminal(text) : bytes(text));
  const parents = parentsOf(shown);
  for (const one of shown) {
    const missing = missingInPatch(stack, one, parents, one.from === undefined ? undefined : byPath.get(one.from));
    if (missing !== undefined) process.stderr.write(`sluice: ${escapeName(one.path)}: the patch does not hold it: ${missing}\n`);
    if ((one.merge?.conflicts ?? 0) > 0)
      process.stderr.write(`sluice: ${escapeName(one.path)}: the patch has the merge, with its conflicts between markers\n`);
    if (one.path.split("/").includes(".git"))
      process.stderr.write(`sluice: ${escapeName(one.path)}: git refuses a patch of its own files: leave them out with '!.git'\n`);
  }
}

export async function showReview(review: Review, form: ReviewForm): Promise<void> {
  const { stack, selected } = review;
  const shown = shownDifferences(selected);
  const byPath = new Map(selected.map((one) => [one.path, one]));
  const originOf = ({ from }: Difference): Difference | undefined => (from === undefined ? undefined : byPath.get(from));
  if (form.json === true)
    return print(
      `${JSON.stringify(
        shown.map((one) => reportOf(stack, one)),
        null,
        2,
      )}\n`,
    );
  if (form.patch === true) return printPatch(review, shown, byPath);
  if (form.nameOnly === true) for (const { path } of selected) await print(`${escapeName(path)}\n`);
  else if (form.stat === true) for (const line of statLines(stack, shown, byPath)) await print(line);
  else for (const one of shown) await print(differenceLine(stack, one, originOf(one)));
  if (form.nameOnly !== true) await print(`${summaryOf(shown)}\n`);
}
