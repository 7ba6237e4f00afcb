// Breaks each rule of the linter, formatter, compiler and C compiler on purpose, in a folder of its own, and expects the
// repository's own configuration to refuse it: a rule that a configuration mistake switched off fails here.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scratch } from "@sluice/testkit";
import { beforeAll, describe, expect, test } from "vitest";
import { checkC } from "../../packages/dev/rules/compile-c.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = (tool: string): string => join(root, "node_modules/.bin", tool);

function run(tool: string, argv: readonly string[], cwd: string): { ok: boolean; output: string } {
  // oxlint looks for its type-aware half in the folder it lints, which has no node_modules here.
  const env = { ...process.env, OXLINT_TSGOLINT_PATH: bin("tsgolint") };
  const done = spawnSync(bin(tool), argv, { cwd, encoding: "utf8", env });
  return { ok: done.status === 0, output: done.stdout + done.stderr };
}

const statements = (count: number): string => Array.from({ length: count }, (_, at) => `  console.log(${at});`).join("\n");

/** Rule → a file that breaks it and no other. */
const VIOLATIONS: Readonly<Record<string, string>> = {
  "eslint(max-lines)": Array.from({ length: 401 }, (_, at) => `export const value${at} = ${at};`).join("\n"),
  "eslint(max-lines-per-function)": `export function long(): void {\n${statements(60)}\n}`,
  "eslint(max-params)": "export function wide(a: number, b: number, c: number, d: number, e: number): number { return a + b + c + d + e; }",
  "eslint(max-depth)": "export function deep(a: number): void { if (a) { if (a > 1) { if (a > 2) { if (a > 3) { console.log(a); } } } } }",
  "import(no-default-export)": "const value = 1;\nexport default value;",
  "typescript(no-explicit-any)": "export const value = (input: any): string => String(input);",
  "typescript(no-floating-promises)": "const later = async (): Promise<void> => {};\nexport function now(): void { later(); }",
  "typescript(no-misused-promises)":
    "export function each(list: number[]): void { list.forEach(async (item) => { await Promise.resolve(item); }); }",
  "typescript(switch-exhaustiveness-check)":
    'type State = { kind: "a" } | { kind: "b" };\nexport function f(state: State): void { switch (state.kind) { case "a": console.log(1); } }',
  "eslint(eqeqeq)": "export const same = (a: number, b: number): boolean => a == b;",
};

const fileOf = (rule: string): string => `${rule.replace(/\W+/g, "-")}.ts`;

describe("the linter", () => {
  let found = "";
  let folder = "";

  beforeAll(() => {
    folder = scratch();
    copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: join(root, "tsconfig.base.json"),
        compilerOptions: { types: [], lib: ["ES2023", "DOM"] },
        include: ["*.ts"],
      }),
    );
    for (const [rule, source] of Object.entries(VIOLATIONS)) writeFileSync(join(folder, fileOf(rule)), `${source}\n`);
    writeFileSync(join(folder, "cycle-a.ts"), 'import { b } from "./cycle-b.js";\nexport const a = (): number => b();\n');
    writeFileSync(join(folder, "cycle-b.ts"), 'import { a } from "./cycle-a.js";\nexport const b = (): number => a();\n');
    writeFileSync(join(folder, "just-right.ts"), `export function long(): void {\n${statements(58)}\n}\n`);
    found = run("oxlint", ["--format", "unix", "."], folder).output;
  });

  test.each(Object.keys(VIOLATIONS))("refuses what breaks %s, for that reason alone", (rule) => {
    const lines = found.split("\n").filter((line) => line.includes(`${fileOf(rule)}:`));
    expect(lines.map((line) => /\[Error\/(.*)\]$/.exec(line)?.[1])).toEqual([rule]);
  });

  test("refuses an import cycle", () => {
    expect(found).toMatch(/cycle-a\.ts:.*\[Error\/import\(no-cycle\)\]/);
  });

  test("accepts a function of the largest size allowed", () => {
    expect(found).not.toContain("just-right.ts");
  });
});

describe("the formatter", () => {
  test.each([
    ["single quotes", "export const a = 'x';\n"],
    ["a line over 140 characters", `export const a = [${"1234567890, ".repeat(13)}1];\n`],
    ["tabs", "export function f() {\n\treturn 1;\n}\n"],
  ])("refuses %s", (_, source) => {
    const folder = scratch();
    // It reads ignore files through git, which a scratch folder has not.
    const options = ["format", `--config-path=${join(root, "biome.json")}`, "--vcs-enabled=false", "a.ts"];
    writeFileSync(join(folder, "a.ts"), 'export const a = "x";\n');
    expect(run("biome", options, folder).output).toMatch(/No fixes applied/);
    writeFileSync(join(folder, "a.ts"), source);
    expect(run("biome", options, folder)).toMatchObject({ ok: false, output: expect.stringMatching(/would have printed/) });
  });
});

describe("the compiler", () => {
  test.each([
    ["an implicit any", "export const f = (a) => a;", 7006],
    ["an index that may miss", "export const f = (a: number[]): number => a[0];", 2322],
    ["an optional property set to undefined", "export const f: { a?: number } = { a: undefined };", 2375],
    ["a branch without a return", "export function f(a: number): number { if (a) return 1; }", 2366],
    ["an unused local", "const unused = 1;\nexport const used = 2;", 6133],
  ])("refuses %s", (_, source, code) => {
    const folder = scratch();
    const options = {
      extends: join(root, "tsconfig.base.json"),
      compilerOptions: { types: [], noEmit: true, composite: false },
      include: ["*.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(options));
    writeFileSync(join(folder, "a.ts"), `${source}\n`);
    expect(run("tsc", ["-p", folder], root).output).toContain(`error TS${code}`);
  });
});

describe("the C compiler", () => {
  function complaintsAbout(source: string): string {
    const folder = scratch();
    mkdirSync(join(folder, "cc"));
    writeFileSync(join(folder, "cc/a.c"), source);
    return checkC(folder, "cc").join("\n");
  }

  test.each([
    ["an unused variable", "int f(void);\nint f(void) { int unused = 1; return 0; }\n", "unused-variable"],
    ["a comparison of signed and unsigned", "int f(int a, unsigned b);\nint f(int a, unsigned b) { return a < b; }\n", "sign-compare"],
    ["a missing return", "int f(void);\nint f(void) { }\n", "return-type"],
    ["a hidden variable", "int f(int a);\nint f(int a) { { int a = 1; (void)a; } return a; }\n", "shadow"],
  ])("refuses %s", (_, source, warning) => {
    expect(complaintsAbout(source)).toContain(warning);
  });

  test("refuses a file of more than 400 lines of code, and nothing else", () => {
    const lines = Array.from({ length: 401 }, (_, at) => `int value${at};`).join("\n");
    expect(complaintsAbout(`${lines}\n`)).toContain("401 lines of code");
    expect(complaintsAbout("int f(void);\nint f(void) { return 0; }\n")).toBe("");
  });
});

test("a check that does not exist is named, and does not pass beside one that does", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "packages/dev/check.mjs"), "folder sizes", "porse"], {
    encoding: "utf8",
  });
  expect(stderr).toContain("no check of that name: porse; there are format, types,");
  expect(status).toBe(2);
});
