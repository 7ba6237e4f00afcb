// The view of $HOME in `sluice run`, as root and as an ordinary user: tools write their caches, and nobody's files change.
import { chmodSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { asOrdinaryUser, ORDINARY_USER, requires, runScript, scratch, treeHash } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, CLI, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

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

test(
  "$XDG_RUNTIME_DIR within $HOME is empty",
  async () => {
    for (const caller of CALLERS)
      for (const name of ["runtime", ".cache/runtime"]) {
        const project = new Project(caller, { f: "f\n" }, scratch(), "none");
        const before = `export HOME=$PWD/../own-home; export XDG_RUNTIME_DIR=$HOME/${name}; mkdir -p $XDG_RUNTIME_DIR; echo token >$XDG_RUNTIME_DIR/auth`;
        const { stdout, stderr } = await project.sluice(["run", "--", "sh", "-c", `ls ~/${name}; echo listed`], { before });
        expect(stdout, stderr).toBe("listed\n");
      }
  },
  LIMIT_MS,
);

test(
  "a home directory above /tmp, /run or /proc uncovers none of them",
  async () => {
    for (const caller of CALLERS) {
      const project = new Project(caller, { f: "f\n" }, scratch(), "none");
      const outside = scratch();
      for (const HOME of ["/", "/tmp"]) {
        const first = "basename \"$(tr '\\0' '\\n' </proc/1/cmdline | head -n 1)\"";
        const script = `ls ${outside} /run/* 2>&1 | grep -v "cannot access"; ${first}; echo x >/dev/null; cat f`;
        const { stdout, stderr } = await project.sluice(["run", "--", "sh", "-c", script], { before: `export HOME=${HOME}` });
        expect(stdout, `HOME=${HOME}\n${stderr}`).toBe("bwrap\nf\n");
        expect(stderr).not.toMatch(/cannot|denied/);
      }
    }
  },
  LIMIT_MS,
);

/** The account of the ordinary user has a home directory outside of /tmp, which is private to the command. `$1`: a scratch directory. */
const WITH_ACCOUNT = `
  own=$1; shift
  mount -t tmpfs -o mode=755 none /srv
  mkdir -p /srv/account/.ssh /srv/account/.config/gh /srv/account/papers
  for file in .ssh/id .config/gh/hosts .netrc papers/p; do echo "in $file" > /srv/account/$file; done
  chown -R ${ORDINARY_USER.uid} /srv/account
  { echo "account:x:${ORDINARY_USER.uid}:${ORDINARY_USER.gid}::/srv/account:/bin/sh"; cat /etc/passwd; } > "$own/passwd"
  mount --bind "$own/passwd" /etc/passwd
  exec "$@"
`;

test(
  "credentials in the home directory of the account are hidden if $HOME is another one or none",
  async () => {
    const project = new Project("an ordinary user", { f: "f\n" });
    const look = "cd /srv/account; cat .ssh/id .config/gh/hosts .netrc papers/p";
    for (const home of ["/srv", "/nowhere", "", "no/path"]) {
      const run = ["env", `HOME=${home}`, process.execPath, CLI, "run", "--", "sh", "-c", look];
      const argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", WITH_ACCOUNT, "sh", scratch(), ...asOrdinaryUser(run)];
      const env = { XDG_STATE_HOME: project.state, SLUICE_HOST_SERVICE: "off", PATH: "/usr/local/bin:/usr/bin:/bin" };
      const { stdout, stderr } = await runScript(argv, { cwd: project.base, env, timeoutMs: LIMIT_MS });
      expect(stdout, `HOME=${home}\n${stderr}`).toBe("in papers/p\n");
    }
  },
  LIMIT_MS,
);

const WITH_MOVED = `
  mount -t tmpfs -o mode=755 none /srv
  mkdir -p /srv/home/settings/gh /srv/home/.tools/gpg /srv/kube /srv/docker/contexts
  for file in home/settings/gh/hosts home/settings/tool home/.tools/gpg/key home/.tools/t kube/config kube/k docker/d docker/contexts/c; do
    echo "in $file" > /srv/$file
  done
  chown -R ${ORDINARY_USER.uid} /srv
  exec "$@"
`;

test(
  "credentials that variables move elsewhere are hidden there",
  async () => {
    const project = new Project("an ordinary user", { f: "f\n", "own/key": "of the project\n" });
    const look =
      "cat own/key; cd /srv; cat home/settings/*/* home/settings/tool home/.tools/gpg/key home/.tools/t kube/* docker/d docker/contexts/c";
    const inHome = ["HOME=/srv/home", "XDG_CONFIG_HOME=/srv/home/settings", "GNUPGHOME=/srv/home/.tools/gpg"];
    const moved = [...inHome, "KUBECONFIG=/srv/none:/srv/kube/config:own/key", "DOCKER_CONFIG=/srv/docker"];
    const options = ["--policy", "install", "--read-only", "/srv/docker/contexts"];
    const run = ["env", ...moved, process.execPath, CLI, "run", ...options, "--", "sh", "-c", look];
    const argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", WITH_MOVED, "sh", ...asOrdinaryUser(run)];
    const env = { XDG_STATE_HOME: project.state, SLUICE_HOST_SERVICE: "off", PATH: "/usr/local/bin:/usr/bin:/bin" };
    const { stdout, stderr } = await runScript(argv, { cwd: project.base, env, timeoutMs: LIMIT_MS });
    expect(stdout, stderr).toBe("of the project\nin home/settings/tool\nin home/.tools/t\nin kube/k\nin docker/contexts/c\n");
  },
  LIMIT_MS,
);
