/**
 * The figures of the decision plane: `npm run bench -- --decisions [open|wire|rules|memory]…`.
 * Ratios are judged, times are told.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Figure, printFigures } from "./figures.js";
import { measureMemory } from "./measure-cache.js";
import { measureOpen } from "./measure-open.js";
import { measureRules } from "./measure-rules.js";
import { measureWire } from "./measure-wire.js";

type Undo = (undo: () => void) => void;
const PARTS: Readonly<Record<string, (directory: string, undo: Undo) => Figure[] | Promise<Figure[]>>> = {
  open: measureOpen,
  wire: measureWire,
  rules: measureRules,
  memory: measureMemory,
};

/** One part after the other, each on services that it started itself. */
async function measure(parts: readonly string[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-bench-decision-"));
  // The embedded decision service is nobody.
  chmodSync(directory, 0o755);
  const undone: (() => void)[] = [];
  try {
    for (const part of parts) {
      const figures = await PARTS[part]?.(directory, (undo) => void undone.push(undo));
      printFigures(figures ?? []);
      for (const undo of undone.splice(0).reverse()) undo();
    }
  } finally {
    for (const undo of undone.reverse()) undo();
    await new Promise((resolve) => setTimeout(resolve, 500));
    rmSync(directory, { recursive: true, force: true });
  }
}

const asked = process.argv.slice(2);
const unknown = asked.find((part) => !(part in PARTS));
if (unknown === undefined) {
  await measure(asked.length === 0 ? Object.keys(PARTS) : asked);
} else {
  process.stderr.write(`sluice bench: --decisions ${unknown}: it is no part: name some of ${Object.keys(PARTS).join(", ")}\n`);
  process.exitCode = 2;
}
// A closed object may still have timers.
process.exit();
