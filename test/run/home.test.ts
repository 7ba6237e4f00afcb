// The view of $HOME in `sluice run`, as root and as an ordinary user: tools write their caches, and nobody's files change.
import { chmodSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { requires, treeHash } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const PLANT = `
  export HOME=$PWD/../own-home
  [ -e ~/.cargo ] || { mkdir -p ~/.cargo/registry ~/.config/gh ~/.local/share/keyrings ~/.ssh ~/papers "$HOME/.two words"
  echo cached > ~/.cargo/registry/c; echo token > ~/.config/gh/hosts; echo key > ~/.local/share/keyrings/k; echo key > ~/.ssh/id
  echo paper > ~/papers/p; echo alias > ~/.profile; }
`;

/** mount(8) for a kernel that refuses some overlays. */
const MOUNT_WITHOUT = `#!/bin/sh
  for table; do :; done
  case "$*" in --all*) grep -v cargo "$table" > "$table.less"; mount=$(PATH=/usr/bin:/bin command -v mount); "$mount" --all --fstab "$table.less"; exit 64 ;; esac
  PATH=/usr/bin:/bin exec mount "$@"
`;

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "directories of tools and caches can be changed, the changes stay in the session and its forks, and the files of the user stay",
    async () => {
      const project = new Project(caller, { f: "f\n" });
      const home = join(dirname(project.base), "own-home");
      const inHome = (words: readonly string[]) => project.sluice(words, { before: PLANT });
      await inHome(["sessions"]);
      const untouched = treeHash(home, { hardLinks: true });
      const write =
        "cd; echo more >> .cargo/registry/c; mkdir -p .npm/new .config/app; echo 1 > .config/app/a; rm -rf .cargo/none; cat .profile papers/p";
      const written = await inHome(["run", "--name", "one", "--", "sh", "-ec", write]);
      expect(written.stdout, written.stderr).toBe("alias\npaper\n");
      expect(treeHash(home, { hardLinks: true })).toBe(untouched);
      const show = "cd; cat .cargo/registry/c .config/app/a; ls .npm";
      expect((await inHome(["run", "--resume", "one", "--", "sh", "-ec", show])).stdout).toBe("cached\nmore\n1\nnew\n");
      expect((await inHome(["diff", "one"])).stdout).toBe("no changes\n");

      await inHome(["fork", "one", "two"]);
      const inFork = await inHome(["run", "--resume", "two", "--", "sh", "-ec", `${show}; echo fork >> .cargo/registry/c; rmdir .npm/new`]);
      expect(inFork.stdout, inFork.stderr).toBe("cached\nmore\n1\nnew\n");
      await inHome(["discard", "one"]);
      expect((await inHome(["run", "--resume", "two", "--", "sh", "-ec", show])).stdout).toBe("cached\nmore\nfork\n1\n");
      expect(readFileSync(join(home, ".cargo/registry/c"), "utf8")).toBe("cached\n");
      await inHome(["discard", "two"]);
      expect((await inHome(["sessions"])).stderr).toBe("no sessions\n");
    },
    LIMIT_MS,
  );

  testInTurn(
    "directories of which the kernel makes no overlay are shown read-only, and the others can be changed",
    async () => {
      const project = new Project(caller, { f: "f\n", "bin/mount": MOUNT_WITHOUT });
      const programs = join(dirname(project.base), "bin");
      renameSync(join(project.base, "bin"), programs);
      chmodSync(join(programs, "mount"), 0o755);
      const env = { PATH: `${programs}:/usr/bin:/bin` };
      const script = 'cd; cat .cargo/registry/c; echo 1 > .cargo/a || echo refused; mkdir ".two words/a"; ls ".two words"';
      const { stdout, stderr } = await project.sluice(["run", "--", "sh", "-c", script], { before: PLANT, env });
      expect(stdout, stderr).toBe("cached\nrefused\na\n");
    },
    LIMIT_MS,
  );

  test(
    "credentials in directories that can be changed stay hidden, also after the command moved what is around them",
    async () => {
      const project = new Project(caller, { f: "f\n" });
      const inHome = (words: readonly string[]) => project.sluice(words, { before: PLANT });
      const move = `cd; cat .ssh/id .config/gh/hosts; mv .config/gh .config/other; mv .local/share .local/moved; mv .local/share/keyrings k
        rm -rf .config/gh .local/share; ln -s / .local/share; rm -rf .config; true`;
      await inHome(["run", "--name", "one", "--", "sh", "-c", move]);
      const search = "grep -rlE '^(key|token)$' ~ 2>/dev/null; true";
      for (const session of ["one", "two"]) {
        if (session === "two") await inHome(["fork", "one", "two"]);
        const found = await inHome(["run", "--resume", session, "--", "sh", "-c", search]);
        expect(found.stdout, found.stderr).toBe("");
        expect(found.code).toBe(0);
      }
    },
    LIMIT_MS,
  );
});
