// `sluice policy diff` and the coverage of `sluice policy test`, as they are typed.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { sluice } from "./testing/typed-command.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-policy-compare-"));
afterAll(() => rmSync(directory, { recursive: true }));
function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const before = file(
  "old.yaml",
  `version: 1
default: grant
rules:
  - {name: keys, path: '**/*.pem', effect: deny}
  - {name: media, path: 'media/**', access: [read, write], effect: mediate, obligations: {readBytesPerSecond: 1000}}
  - {name: git, path: '**/.git', effect: hide}
  - {name: elf, when: "resource.head.startsWith('ELF')", effect: deny}
  - {name: late, path: 'a/x.pem', effect: grant}
`,
);
const after = file(
  "new.yaml",
  `version: 1
default: grant
rules:
  - {name: keys, path: '**/*.key', effect: deny}
  - {name: media, path: 'media/**', access: [read, write], effect: mediate, obligations: {readBytesPerSecond: 2000}}
  - {name: git, path: '**/.git', effect: deny}
`,
);

/** A lower layer. */
const tree = join(directory, "tree");
mkdirSync(join(tree, "media"), { recursive: true });
mkdirSync(join(tree, ".git"));
for (const [name, text] of Object.entries({ "media/song": "la", "x.pem": "secret", "y.key": "secret", tool: "ELF…", plain: "text" }))
  writeFileSync(join(tree, name), text);
symlinkSync("/etc", join(tree, "link"));

describe("sluice policy diff", { timeout: 60_000 }, () => {
  it("asks both policies about each file of a tree, its content too, and follows no link", () => {
    const { status, stdout } = sluice("policy", "diff", before, after, "--tree", tree, "--access", "read", "--json", "--exit-code");
    expect(status).toBe(1);
    const { byPath, byRule, ...counts } = JSON.parse(stdout) as {
      byPath: { path: string; was: unknown; now: unknown }[];
      byRule: unknown[];
    };
    expect(counts).toEqual({ files: 9, unread: 0, decisions: 9, same: 3, different: 6, failed: 0 });
    expect(byRule).toHaveLength(5);
    const changed = byPath.map(({ path, was, now }) => [path, was, now] as const).sort(([one], [other]) => (one < other ? -1 : 1));
    expect(changed).toEqual([
      [".git", { effect: "hide", rule: "git" }, { effect: "deny", rule: "git" }],
      ...["media", "media/song"].map((path) => [
        path,
        { effect: "mediate", rule: "media", obligations: { readBytesPerSecond: "1000" } },
        { effect: "mediate", rule: "media", obligations: { readBytesPerSecond: "2000" } },
      ]),
      ["tool", { effect: "deny", rule: "elf" }, { effect: "grant", rule: "default" }],
      ["x.pem", { effect: "deny", rule: "keys" }, { effect: "grant", rule: "default" }],
      ["y.key", { effect: "grant", rule: "default" }, { effect: "deny", rule: "keys" }],
    ]);
  });

  it("tells accesses of one file together, for a person", () => {
    const { status, stdout } = sluice("policy", "diff", before, after, "--tree", tree);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^9 files, 81 questions: \d+ the same, \d+ different, 0 without an answer\n/);
    expect(stdout).toContain("9  y.key (every access): grant 'default' -> deny 'keys'\n");
    expect(stdout).toContain("3  media/song (read, write, truncate): mediate 'media' (readBytesPerSecond: 1000) -> mediate 'media'");
  });

  it("finds no difference between a policy and itself", () => {
    const { status, stdout } = sluice("policy", "diff", before, before, "--tree", tree, "--exit-code");
    expect([status, stdout]).toEqual([0, "9 files, 81 questions: 81 the same, 0 different, 0 without an answer\n"]);
  });

  it("asks the questions of a decision log, whatever the log says was answered", () => {
    const input = {
      operation: "open",
      accesses: ["read"],
      subject: { uid: 5, gid: 5, groups: [], pid: 1, executable: "/bin/cat", cgroup: "/" },
      resource: {
        ...{ mount: "m", paths: ["b/y.key"], layer: "upper", kind: "regular", sizeBytes: 1, mode: 33188, uid: 0, gid: 0, xattrs: {} },
      },
      openFlags: 0,
      missing: [],
    };
    const line = { decision_id: "d1", question_id: "q1", input, result: { effect: "mediate", errno: 0, rule: "other" } };
    const log = file("log.jsonl", `${JSON.stringify(line)}\n`);
    const [deny, grant] = [
      { effect: "deny", rule: "keys" },
      { effect: "grant", rule: "default" },
    ];
    const told = sluice("policy", "diff", file("grant.yaml", "version: 1\ndefault: grant\n"), after, "--log", log, "--json");
    expect(JSON.parse(told.stdout)).toMatchObject({ decisions: 1, different: 1, byRule: [{ was: grant, now: deny, count: 1 }] });
  });

  it("needs one source of questions", () => {
    expect(sluice("policy", "diff", before, after)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("nothing to ask about") as string,
    });
    expect(sluice("policy", "diff", before, after, "--log", "a", "--tree", "b").stderr).toContain("--log and --tree exclude each other");
    expect(sluice("policy", "diff", before, after, "--tree", join(directory, "nowhere"))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/nowhere: it cannot be read \(ENOENT\)/) as string,
    });
  });
});

describe("sluice policy test --coverage", { timeout: 60_000 }, () => {
  it("names the rules that decide no case, each with its line", () => {
    const cases = file("cases.yaml", "cases:\n  - {path: [x.pem, media/song], access: [read, write], expect: deny}\n");
    const { status, stdout } = sluice("policy", "test", before, cases, "--coverage");
    expect(status).toBe(0);
    const missed = (line: number, rule: string): string =>
      `${before}:${line}: rule '${rule}': no case reaches it: add a case that it decides, or delete it\n`;
    expect(stdout).toBe(`1 of 1 cases pass\n${missed(6, "git")}${missed(7, "elf")}${missed(8, "late")}2 of 5 rules decide a case\n`);
  });

  it("says of a policy without named rules that it cannot tell", () => {
    file("p.cedar", "permit(principal, action, resource);");
    const policy = file("cedar.yaml", "kind: cedar\npolicies: p.cedar\n");
    const cases = file("one.yaml", "cases:\n  - {path: a, expect: grant}\n");
    const { status, stderr } = sluice("policy", "test", policy, cases, "--coverage");
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/cedar\.yaml:1:7: the rules of a policy of kind 'cedar' are not known: leave/),
    ]);
  });
});
