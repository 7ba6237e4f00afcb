/** Policies that come with Sluice, each a file of presets/. `sluice policy init` copies one for editing. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { codeOf, failed, wrong } from "@sluice/runtime/cli";

/** The default first. */
export const PRESETS = ["agent", "install", "readonly"] as const;
export type Preset = (typeof PRESETS)[number];

const fileOf = (name: string): string => fileURLToPath(new URL(`../../presets/${name}.yaml`, import.meta.url));

/** Grants everything, and is asked about everything: for 'sluice run --learn'. */
export const LEARNING_POLICY: string = fileOf("learn");

/** The file of a preset; undefined if `name` is not one. */
export function presetFile(name: string): string | undefined {
  if (!PRESETS.some((preset) => preset === name)) return undefined;
  return fileOf(name);
}

/** @throws CliError if there is no such preset, or the file exists */
export function writePreset(name: string, path: string): void {
  const preset = presetFile(name);
  if (preset === undefined) throw wrong(name, "there is no preset with this name", `choose ${PRESETS.join(", ")}`);
  try {
    writeFileSync(path, readFileSync(preset), { flag: "wx" });
  } catch (error) {
    throw failed(
      path,
      `the policy cannot be written (${codeOf(error)})`,
      codeOf(error) === "EEXIST" ? "name another file" : "check the directory",
    );
  }
  process.stdout.write(`${path}\n`);
}
