// `sluice run --learn`: the policy that a command needs, as root and as an ordinary user.
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const FILES = { f: "f\n", gone: "", ".env": "SECRET=1\n", "src/a": "a\n", "src/b": "b\n", "dir/sub/x": "x\n", "conf/.env": "OTHER=1\n" };
/** Nothing follows the second name of a file: a mount forgets it if the kernel drops its caches, as another test may make it do. */
const COMMAND = `
  cat f .env src/a; echo more >> f; rm gone; mkdir out; for i in 1 2 3 4 5 6 7 8 9 10; do echo $i > out/$i; done
  mv out/1 out/one; mv dir moved; cat moved/sub/x; ln -s f link; chmod 700 f; ln f hard; mkdir -p x/y; mv x z; rm -r z; touch src/b
`;

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "a command that ran under --learn runs again under the learned policy, which denies what the command left alone",
    async () => {
      const project = new Project(caller, FILES);
      const policy = join(project.state, "learned.yaml");
      const learned = await project.sluice(["run", "--learn", policy, "--name", "one", "--", "sh", "-ec", COMMAND]);
      expect(learned.code, learned.stderr).toBe(0);
      expect(learned.stderr).toContain(`sluice: the learned policy is in ${policy}\n`);
      const text = readFileSync(policy, "utf8");
      expect(text).toMatch(/- name: secrets-read\n {4}path:\n {6}- \.env\n {4}access:/);
      expect(text).toContain("- out/**");
      expect((await project.sluice(["policy", "check", policy])).code).toBe(0);

      const again = await project.sluice(["run", "--policy", policy, "--", "sh", "-ec", COMMAND]);
      expect(again.code, again.stderr).toBe(0);
      expect(again.stdout).toBe(learned.stdout);
      for (const more of ["cat src/b", "cat conf/.env", "echo > new", "rm src/a", "echo >> src/a"])
        expect((await project.sluice(["run", "--on-exit", "discard", "--policy", policy, "--", "sh", "-c", more])).code, more).not.toBe(0);
    },
    LIMIT_MS,
  );

  testInTurn(
    "the session comes to its end, and its report is written, if no policy can be learned",
    async () => {
      const project = new Project(caller, FILES);
      mkdirSync(join(project.state, "policies"), { mode: 0o777 });
      chmodSync(join(project.state, "policies"), 0o777);
      const running = project.start([
        ...["run", "--learn", join(project.state, "policies/learned.yaml"), "--output", "report.json", "--on-exit", "apply", "--"],
        ...["sh", "-ec", "echo more >> f; echo ready; until [ -e go ]; do sleep 0.1; done"],
      ]);
      await running.waitFor("ready");
      rmSync(join(project.state, "policies"), { recursive: true });
      writeFileSync(join(project.base, "go"), "");
      const { code, stderr } = await running.finished;
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^sluice: \S+learned\.yaml: the policy cannot be written \(ENOENT\): /m)]);
      expect(JSON.parse(readFileSync(join(project.base, "report.json"), "utf8"))).toMatchObject({ exitCode: 0, outcome: "applied" });
    },
    LIMIT_MS,
  );

  testInTurn(
    "without a file the policy comes after the output of the command",
    async () => {
      const project = new Project(caller, FILES);
      const { stdout } = await project.sluice(["run", "--learn", "--on-exit", "discard", "--", "cat", "f"]);
      expect(stdout).toMatch(
        /^f\n# Learned by 'sluice run --learn' from: cat f\n[^]*default: deny\n[^]*- name: read\n {4}path:\n {6}- f\n/,
      );
      const both = await project.sluice(["run", "--learn", "--policy", "readonly", "--", "true"]);
      expect(both.code).toBe(2);
    },
    LIMIT_MS,
  );
});
