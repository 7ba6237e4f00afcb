/** A server that lets go of each idle object of a node at once: see plant-objects.mjs. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";

const PLANT = fileURLToPath(new URL("./plant-objects.mjs", import.meta.url));

export interface LettingObjectsGo {
  /** For the command that mounts. */
  readonly env: Readonly<Record<string, string>>;
  /** The number of objects that went. */
  gone(): number;
}

export function lettingObjectsGo(): LettingObjectsGo {
  const file = join(scratch(), "gone");
  return {
    env: { NODE_OPTIONS: `--import=${PLANT}`, SLUICE_OBJECTS_FILE: file },
    gone: () => statSync(file).size,
  };
}
