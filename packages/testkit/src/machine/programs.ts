// The programs that a test may call: those of every machine, and those it declares ("command getfattr"). `npm test` makes the
// directories (packages/dev/tests/programs.mjs); without them, as with vitest alone, PATH stays as it is.
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach } from "vitest";

interface SystemPackages {
  /** Set → package → the commands that it brings. */
  sets: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  base: readonly string[];
}

const list = JSON.parse(readFileSync(new URL("../../system-packages.json", import.meta.url), "utf8")) as SystemPackages;
const DIRECTORY = process.env["SLUICE_TEST_PROGRAMS"];
const WHOLE_PATH = process.env["SLUICE_TEST_PATH"] ?? process.env["PATH"] ?? "";
/** These programs call many others. */
const WITH_EVERYTHING = ["podman", "compose", "console", "release"];

/** By the file, for its code that runs outside of a test. */
const declared = new Set<string>();

export function hasCommand(name: string): boolean {
  return WHOLE_PATH.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function setOf(command: string): string {
  const found = Object.entries(list.sets).find(([, packages]) => Object.values(packages).flat().includes(command));
  if (found !== undefined) return found[0];
  if (list.base.includes(command)) return "base";
  throw new Error(`no package is known that brings ${command}: add it to packages/testkit/system-packages.json`);
}

function pathWith(commands: readonly string[]): string {
  if (DIRECTORY === undefined) return WHOLE_PATH;
  const others = commands.some((command) => WITH_EVERYTHING.includes(setOf(command))) ? WHOLE_PATH : join(DIRECTORY, "undeclared");
  return [join(DIRECTORY, "base"), ...commands.map((command) => join(DIRECTORY, command)), others].join(delimiter);
}

/** For the file that is being loaded. Throws if the list of packages does not know a program. */
export function declarePrograms(commands: readonly string[]): void {
  for (const command of commands) {
    setOf(command);
    declared.add(command);
  }
  process.env["PATH"] = pathWith([...declared]);
}

/** Runs `work` with the programs of every machine and `commands` in PATH. */
export async function withPrograms(commands: readonly string[], work: () => void | Promise<void>): Promise<void> {
  const before = process.env["PATH"];
  process.env["PATH"] = pathWith(commands);
  try {
    await work();
  } finally {
    process.env["PATH"] = before;
  }
}

/** Fails the test that called a program without declaring it, whatever it made of that. */
export function watchPrograms(): void {
  if (DIRECTORY === undefined) return;
  const log = join(DIRECTORY, `undeclared-${process.pid}`);
  writeFileSync(log, "", { mode: 0o666 });
  process.env["SLUICE_TEST_UNDECLARED"] = log;
  // Those of the file before, in the same process.
  declared.clear();
  declarePrograms([]);
  afterEach(() => {
    const called = [...new Set(readFileSync(log, "utf8").split("\n").filter(Boolean))];
    writeFileSync(log, "");
    if (called.length > 0) throw new Error(`the test did not declare ${called.join(", ")}: requires("command ${called[0]}")`);
  });
}
