/** Changes to entries of the lower layer: a directory removed, one renamed, a file appended to. */
import { appendFileSync, chmodSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { EditOutput, ViewInput } from "./task-table.js";

/** Packages that later steps use, or that are not plain directories of files. */
const UNTOUCHED = /^([.@]|typescript$|yaml$|project$|datasets$|keys$|secrets$)/;

export function editTree({ mountPoint }: ViewInput): EditOutput {
  const [removed, renamed, appended] = readdirSync(mountPoint)
    .sort()
    .filter((name) => !UNTOUCHED.test(name) && existsSync(join(mountPoint, name, "package.json")));
  if (removed === undefined || renamed === undefined || appended === undefined)
    throw new Error(`${mountPoint}: fewer than three packages in the view`);
  rmSync(join(mountPoint, removed), { recursive: true });
  renameSync(join(mountPoint, renamed), join(mountPoint, `${renamed}-renamed`));
  appendFileSync(join(mountPoint, appended, "package.json"), "\n");
  chmodSync(join(mountPoint, appended), 0o750);
  if (existsSync(join(mountPoint, removed))) throw new Error(`${removed}: still there after its removal`);
  if (!existsSync(join(mountPoint, `${renamed}-renamed`, "package.json"))) throw new Error(`${renamed}: lost its content in a rename`);
  return { removed, renamed, appended: `${appended}/package.json` };
}
