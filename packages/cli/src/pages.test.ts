/** The pages for users name the commands, options and environment variables that exist. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { buildProgram } from "./program.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGES = [
  ...["README.md", "SECURITY.md", "deploy/README.md", "deploy/k8s/README.md", "deploy/systemd/README.md"],
  ...readdirSync(`${ROOT}docs`).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];
const program = await buildProgram(undefined);
const read = (page: string): string => readFileSync(`${ROOT}${page}`, "utf8");

/** By the words of the command, such as "policy check". */
function optionsOf(command: Command, words: string): [string, Set<string>][] {
  const own = new Set(["--help", ...command.options.flatMap(({ long }) => long ?? [])]);
  return [[words, own], ...command.commands.flatMap((each) => optionsOf(each, `${words} ${each.name()}`.trim()))];
}

const known = new Map(optionsOf(program, ""));

/** The lines of blocks, and the spans of code, each beginning at "sluice" and ending where a shell begins something else. */
function callsIn(text: string): string[] {
  const joined = text.replace(/\\\n\s*/g, " ");
  const blocks = [...joined.matchAll(/^```\w*\n([^]*?)^```$/gm)].flatMap(([, block = ""]) => block.split("\n"));
  const spans = [...joined.replace(/^```[^]*?^```$/gm, "").matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span.replaceAll("\n", " "));
  return [...blocks, ...spans].flatMap((code) => /\bsluice [a-z][^|#;&)]*/.exec(code.replaceAll("\\|", "|"))?.[0] ?? []);
}

test.each(PAGES)("%s names only options that their command has", (page) => {
  const wrong = callsIn(read(page)).filter((call) => {
    const [, first = "", second = ""] = call.split(" -- ")[0]?.split(/\s+/) ?? [];
    const options = known.get(`${first} ${second}`) ?? known.get(first);
    const named = call.split(" -- ")[0]?.match(/(?<=\s)--[a-z][a-z-]*/g) ?? [];
    return options !== undefined && named.some((option) => !options.has(option));
  });
  expect(wrong).toEqual([]);
});

test("docs/commands.md names each command that help lists", () => {
  const listed = program.createHelp().visibleCommands(program);
  const table = read("docs/commands.md");
  const missing = listed
    .map((each) => each.name())
    .filter((name) => name !== "help" && !new RegExp(`[\`(](sluice )?${name}\\b`).test(table));
  expect(missing).toEqual([]);
});

test("docs/commands.md names each environment variable that gives an option its value", () => {
  const variables = program.commands.flatMap(({ options }) => options.flatMap(({ envVar }) => envVar ?? []));
  expect(variables.length).toBeGreaterThan(3);
  const table = read("docs/commands.md");
  expect([...new Set(variables)].filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
});
