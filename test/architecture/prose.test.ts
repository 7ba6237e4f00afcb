// Breaks each rule of plain English on purpose, and shows sentences that no rule may refuse.
import { describe, expect, test } from "vitest";
import { excessOf, ratchet } from "../../packages/dev/prose/ceilings.mjs";
import { folderOf, lintText } from "../../packages/dev/prose/lint.mjs";

async function rulesBroken(path: string, text: string): Promise<string[]> {
  return (await lintText(path, text)).findings.map(({ line, rule }) => `${line}: ${rule}`);
}

describe("the prose check", () => {
  test.each([
    ["words", "The listing is made again, and the cache is read afresh."],
    ["words", "The answer is nonsense."],
    ["words", "Every open asks, but for those of root."],
    ["headless", "What is kept is compared by values."],
    ["headless", "The open waits. Who passes through goes on."],
    ["headless", "Which of them answers is unknown."],
    ["headless", "The mount ends; who has a file open keeps it."],
    ["headless", "Renames come first, and what was made comes later."],
    ["headless", "It is shown to others: what was removed stays removed."],
    ["headless", "The reply is held back for who asks later."],
    ["headless", "If the file is gone, who waits for it goes on."],
    ["headless", "It is an estimate of what they take."],
    ["headless", "The message is for whoever brought it."],
    ["where", "Where no service answers, the open fails."],
    ["where", "The mount reads /dev/fuse where there is no ring."],
    ["where", "The listing is merged, but where it is not needed."],
    ["columns", `A line ${"that goes on ".repeat(8)}too long.`],
  ])("refuses a page that breaks %s: %s", async (rule, sentence) => {
    expect(await rulesBroken("docs/a.md", `# Title\n\n${sentence}\n`)).toEqual([`3: ${rule}`]);
  });

  test.each([
    "Explain what a rule holds.",
    "The page tells which file wins, and what it costs.",
    "What does the kernel do?",
    "The owner, who may write, keeps the lock.",
    "A caller who opens a file and who closes it asks once.",
    "It depends on who asks.",
    "The directory where it lies is opened once.",
    "`sluice status` shows where it is mounted.",
    'The error is "what is no message" or `what is none`.',
    "The service may deny, and it says why.",
    "| what | why |\n|---|---|\n| a lock | the kernel has one |",
    `| ${"a long cell ".repeat(10)} |\n|---|\n| text |`,
    "## What a rule costs",
  ])("accepts: %s", async (text) => {
    expect(await rulesBroken("docs/a.md", `${text}\n`)).toEqual([]);
  });

  test("reads comments, messages and the names of tests, and no code", async () => {
    const source = `/**
 * Keeps the answer.
 *
 * @param path what is asked for
 */
export const text = (path: string): string => "anew";
// The first line of a sentence goes on in a second one, and
// what is here belongs to it.
export const help = \`\${text("nonsense")} is made anew by the keeper\`;
`;
    expect(await rulesBroken("packages/cli/src/a.ts", source)).toEqual(["4: headless", "7: headless", "9: words"]);
    const tests =
      'test("it works, too", () => {});\ntest("keeps a lock across a copy-up", () => {});\nstream.on("data", () => "what is none");\nawait soon("that it ends at once", () => {});\n';
    expect(await rulesBroken("packages/cli/src/a.test.ts", tests)).toEqual(["1: test-names", "1: test-names"]);
    expect(await rulesBroken("packages/native/src/a.c", 'char *a = "/* anew";\n/* Opened\n * anew. */\n')).toEqual(["3: words"]);
    expect(await rulesBroken("deploy/a.yaml", "# What is mounted.\nkey: anew # anew\n")).toEqual(["1: headless"]);
  });
});

describe("the ceilings of the prose check", () => {
  const finding = { path: "docs/a.md", line: 7, rule: "headless", message: '"what is": start with a noun' };
  const report = (folder: string, count: number) => ({ folder, words: 100, findings: Array.from({ length: count }, () => finding) });

  test("a folder may have as many findings as it is allowed, and one more is listed", () => {
    expect(excessOf([report("docs", 2)], { docs: { headless: 2 } })).toEqual([]);
    const excess = excessOf([report("docs", 2), report("deploy", 1)], { docs: { headless: 2 }, deploy: { words: 4 } });
    expect(excess).toEqual(["deploy: headless: 1 findings, 0 allowed", '  docs/a.md:7: headless: "what is": start with a noun']);
  });

  test("the ratchet takes fewer findings, also if they moved, and never more", () => {
    expect(ratchet([report("a", 1), report("b", 0)], { b: { headless: 2 } })).toEqual({ ceilings: { a: { headless: 1 } } });
    expect(ratchet([report("a", 3)], { a: { headless: 2 } })).toEqual({ complaint: "3 findings in all, 2 allowed: mend some first" });
  });

  test("a package, a service and a folder of test/ are counted by themselves", () => {
    expect(["packages/a/src/b.ts", "test/e2e/a.test.ts", "docs/a.md", "README.md"].map(folderOf)).toEqual([
      "packages/a",
      "test/e2e",
      "docs",
      "README.md",
    ]);
  });
});
