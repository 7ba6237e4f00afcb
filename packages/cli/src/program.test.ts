import { readFileSync } from "node:fs";
import { runCli } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { expect, test, vi } from "vitest";
import { buildProgram } from "./program.js";

const EVERY = [
  "answer",
  "apply",
  "asks",
  "checkpoint",
  "commit",
  "completion",
  "csi",
  "decision",
  "diff",
  "discard",
  "doctor",
  "explain",
  "export",
  "fork",
  "fsck",
  "grants",
  "host-server",
  "keeper",
  "log",
  "man",
  "mount",
  "mount-server",
  "policy",
  "profile",
  "report",
  "reset",
  "run",
  "serve",
  "sessions",
  "status",
  "top",
  "undo",
  "unmount",
  "upgrade",
  "user-mount",
  "user-server",
  "volume-plugin",
];

/** They are started by programs of ours alone. */
const INTERNAL = ["host-server", "mount-server", "user-mount", "user-server"];

async function names(command: string | undefined): Promise<string[]> {
  return (await buildProgram(command)).commands.map((each) => each.name()).toSorted();
}

test("help knows every command", async () => {
  expect(await names("--help")).toEqual(EVERY);
  expect(await names(undefined)).toEqual(EVERY);
  expect(await names("mont")).toEqual(EVERY);
});

test("the list of commands fits into 80 columns", async () => {
  const program = (await buildProgram("--help")).configureOutput({ getOutHelpWidth: () => 80 });
  const lines = program.helpInformation().split("\n");
  expect(lines.find((line) => line.startsWith("  status [mountpoint] "))).toBeDefined();
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
});

test("help of mount begins with the layers, and then says who decides", async () => {
  const program = await buildProgram("mount");
  const mount = program.commands.find((each) => each.name() === "mount");
  expect(mount?.options.slice(0, 4).map(({ flags }) => flags.split(" ")[0])).toEqual(["--lower", "--upper", "--work", "-o"]);
  expect(mount?.options.findIndex(({ long }) => long === "--policy")).toBeLessThan(8);
});

test("help says of each argument and each option what it is", async () => {
  const unsaid: string[] = [];
  const look = (command: Command, path: string): void => {
    const all = [
      ...command.registeredArguments.map((each) => [each.name(), each.description]),
      ...command.options.map((each) => [each.flags, each.description]),
    ];
    for (const [name, description] of all) if (description === "") unsaid.push(`${path} ${name}`);
    for (const each of command.commands) look(each, `${path} ${each.name()}`);
  };
  const program = await buildProgram("--help");
  look(program, "sluice");
  expect(unsaid.filter((each) => !INTERNAL.some((name) => each.startsWith(`sluice ${name} `)))).toEqual([]);
});

test("each command is there when it is called by its name", async () => {
  for (const name of EVERY) expect(await names(name)).toContain(name);
});

test("policy schema prints the schema that docs/ holds", async () => {
  const written: string[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
  try {
    await (await buildProgram("policy")).parseAsync(["policy", "schema"], { from: "user" });
  } finally {
    spy.mockRestore();
  }
  const held = readFileSync(new URL("../../../docs/schema/policy.schema.json", import.meta.url), "utf8");
  expect(written.join(""), "run: npm run generate").toBe(held);
});

test("refuses empty names, for most of which the working directory would be taken", async () => {
  const told = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const MISTAKES: readonly (readonly [words: readonly string[], object: string])[] = [
    [["unmount", ""], "MOUNTPOINT"],
    [["mount", "--lower", "/srv", "--policy", "", "/mnt"], "--policy"],
    [["policy", "check", ""], "FILE"],
    [["apply", "session", "src", ""], "PATHS"],
    [["serve", "--socket", ""], "--socket"],
    [["volume-plugin", "--socket", ""], "--socket"],
    [["run", "--learn", "", "--", "true"], "--learn"],
  ];
  for (const [words, object] of MISTAKES) {
    told.mockClear();
    expect(await runCli(await buildProgram(words[0]), ["node", "sluice", ...words]), words.join(" ")).toBe(2);
    expect(told.mock.lastCall?.[0]).toMatch(new RegExp(`^sluice: ${object}: (the name|it) is empty: `));
  }
  told.mockRestore();
});

test("names an unknown command, also with a help option", async () => {
  const told = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const shown = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const MISTAKES: readonly (readonly [words: readonly string[], complaint: string])[] = [
    [["mont", "--help"], "unknown command 'mont' (Did you mean mount?): see 'sluice --help'"],
    [["mont", "-h"], "unknown command 'mont' (Did you mean mount?): see 'sluice --help'"],
    [["policy", "chek", "--help"], "unknown command 'chek' (Did you mean check?): see 'sluice policy --help'"],
  ];
  for (const [words, complaint] of MISTAKES) {
    told.mockClear();
    expect(await runCli(await buildProgram(words[0]), ["node", "sluice", ...words]), words.join(" ")).toBe(2);
    expect(told.mock.lastCall?.[0]).toContain(complaint);
  }
  expect(shown).not.toHaveBeenCalled();
  for (const spy of [told, shown]) spy.mockRestore();
});
