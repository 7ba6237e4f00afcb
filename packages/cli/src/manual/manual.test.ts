import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { buildProgram } from "../program.js";
import { completionFor, SHELLS } from "./completion.js";
import { describeCommand, everyCommand } from "./describe.js";
import { manualPage } from "./manual-page.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-manual-"));
afterAll(() => rmSync(directory, { recursive: true }));
const program = describeCommand(await buildProgram(undefined));
const commands = everyCommand(program);

const inWords = (text: string): string => text.replace(/\s+/g, " ").trim();

test("every command has a page with every argument and option, and the notes of its help", () => {
  expect(commands.length).toBeGreaterThan(20);
  for (const command of commands) {
    const page = manualPage(command);
    const text = page.replaceAll("\\-", "-").replaceAll("\\e", "\\").replaceAll("\\&", "");
    for (const { flags } of command.options) expect(text, command.words.join(" ")).toContain(`.B ${flags}\n`);
    for (const { words } of command.commands) expect(text).toContain(`.BR ${words.join("-")} (1)`);
    expect(inWords(text)).toContain(inWords(command.notes.split("\n").at(-1) ?? ""));
    const notes = text.split("\n.nf\n").at(1)?.split("\n.fi\n")[0] ?? "";
    expect(notes.split("\n").filter((line) => !line.startsWith(" ") && line.length > 72)).toEqual([]);
    // No line may be taken for a request that it is not.
    for (const line of page.split("\n").filter((each) => each.startsWith("."))) expect(line).toMatch(/^\.(TH|SH|TP|B|BR|nf|fi)\b/);
  }
});

test.each(SHELLS)("every command and every option of it is completed by %s", (shell) => {
  const script = completionFor(shell, program);
  for (const { words, options } of commands) {
    expect(script).toContain(words.at(-1));
    for (const name of options.flatMap(({ names }) => names)) {
      expect(script, words.join(" ")).toContain(
        shell !== "fish" ? name : name.startsWith("--") ? `-l ${name.slice(2)} ` : `-s ${name.slice(1)} `,
      );
    }
  }
});

test("bash completes commands, options, their values and files", () => {
  const file = join(directory, "completion");
  writeFileSync(file, completionFor("bash", program));
  writeFileSync(join(directory, "policy.yaml"), "");
  const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const complete = (...words: string[]): string[] => {
    const out = execFileSync("bash", ["-c", script, "bash", file, "sluice", ...words], { encoding: "utf8", cwd: directory });
    return out.split("\n").filter((word) => word !== "");
  };
  expect(complete("unm")).toEqual(["unmount"]);
  expect(complete("policy", "che")).toEqual(["check"]);
  expect(complete("mount", "--on-r")).toEqual(["--on-revoke"]);
  expect(complete("mount", "--keeper", "")).toEqual(["on", "off"]);
  expect(complete("mount", "--policy", "pol")).toEqual(["policy.yaml"]);
  expect(complete("completion", "z")).toEqual(["zsh"]);
  expect(complete("grants", "--json", "--w")).toEqual(["--watch"]);
});

test("the commands write one page, or all of them, and name what is not there", async () => {
  const run = async (...argv: string[]): Promise<void> => void (await (await buildProgram(argv[0])).parseAsync(argv, { from: "user" }));
  await run("man", "--to", directory);
  const pages = readdirSync(directory).filter((name) => name.endsWith(".1"));
  expect(pages).toHaveLength(commands.length);
  expect(readFileSync(join(directory, "sluice-policy-check.1"), "utf8")).toContain("sluice\\-policy\\-check");
  await expect(run("man", "polish")).rejects.toThrow("sluice polish: there is no such command: see 'sluice --help'");
});
