/**
 * The pages for users work: the test runs each block as it stands, and an error in the middle of one fails the test. Left out
 * are Docker's blocks (test/compose), systemd's and Kubernetes', which no test machine runs, and blocks with an ellipsis.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, describeResult, mountsBelow, requires, runScript, runSluice, type ScriptResult, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const root = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const SLUICE = root("packages/cli/bin/sluice.cjs");
const OVERLAYFS = root("packages/overlayfs-cli/bin/sluice-overlayfs.cjs");
const page = (name: string): string => readFileSync(root(name), "utf8");
const guides = [...page("docs/guides.md").matchAll(/^## (.+)$[^]*?^```sh\n([^]*?)^```$/gm)].map(([, title = "", script = ""]) => ({
  title,
  script,
}));

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command getfattr", "command curl");

/** The block of a page that contains `text`, and the next one. */
function blocksFrom(name: string, text: string): [string, string] {
  const blocks = [...page(name).matchAll(/^```\w*\n([^]*?)^```$/gm)].map(([, block = ""]) => block);
  const at = blocks.findIndex((block) => block.includes(text));
  if (at < 0) throw new Error(`${name} has no block with ${text}`);
  return [blocks[at] as string, blocks[at + 1] ?? ""];
}

/**
 * `sh -e` lets a command after "!" pass either way: here it must fail, as must a command whose comment says that it is denied.
 */
const strict = (script: string): string =>
  script
    .replace(/^! (.*?)(\s+#.*)?$/gm, "if $1; then exit 9; fi")
    .replace(/^([^!\n]*?)\s+# Permission denied$/gm, "if $1; then exit 9; fi");

/** Runs a script with the commands of a checkout, both through npx and directly. */
async function follow(script: string, { inNamespace = false } = {}): Promise<ScriptResult> {
  const place = scratch();
  const bin = join(place, "bin");
  mkdirSync(bin);
  const command = (name: string, line: string): void => writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  command("sluice", `exec "${process.execPath}" "${SLUICE}" "$@"`);
  command(
    "npx",
    `case $1 in sluice) program="${SLUICE}";; *) program="${OVERLAYFS}";; esac; shift; exec "${process.execPath}" "$program" "$@"`,
  );
  cleanUp(async () => {
    for (const { mountpoint } of mountsBelow(place)) await runSluice(["unmount", mountpoint]);
  });
  // --install-helpers links the commands into this directory.
  const env = { PATH: `${bin}:/usr/local/bin:${process.env["PATH"] ?? ""}`, TMPDIR: place, XDG_STATE_HOME: place };
  const own = inNamespace ? ["unshare", "--mount", "--propagation", "private"] : [];
  const result = await runScript([...own, "bash", "-euc", strict(script)], { cwd: place, env, timeoutMs: 250_000 });
  expect(result.code, describeResult(result)).toBe(0);
  expect(mountsBelow(place)).toEqual([]);
  return result;
}

requires("/dev/fuse", "CAP_SYS_ADMIN", "command git").test(
  "the warnings of the guide for agents are true, and its way to review runs no code of the agent",
  async () => {
    const review = /^ {2}`(git --no-optional-locks .*)`$/m.exec(page("docs/guides.md"))?.[1] ?? "no review";
    const done = await follow(`D=$(mktemp -d) && chmod 755 "$D" && mkdir "$D/project" "$D/upper" "$D/work" "$D/tree" && cd "$D/project"
git init -q . && echo hello >main && echo TOKEN=1 >.env && git add main
printf 'version: 1\\ndefault: grant\\nrules: [{ name: s, path: "**/.env", effect: deny }]\\n' >"$D/policy.yaml"
sluice mount --lower "$D/project" --upper "$D/upper" --work "$D/work" --policy "$D/policy.yaml" "$D/tree" >"$D/out" 2>&1 &
until grep -q '^mounted' "$D/out"; do sleep 0.2; done
cd "$D/tree" && ! cat .env
cat ../project/.env
printf '#!/bin/sh\\ntouch "%s/ran"\\n' "$D" >monitor && chmod 755 monitor && git config core.fsmonitor "$PWD/monitor" && echo changed >main
cd / && ${review} && test ! -e "$D/ran"
git -C "$D/tree" status >/dev/null && test -e "$D/ran"
sluice unmount "$D/tree"
`);
    expect(done.stdout).toContain("TOKEN=1\n");
    expect(done.stdout).toMatch(/new file: +main\n[^]*modified: +main\n/);
  },
  300_000,
);

test("docs have at least six guides", () => expect(guides.length).toBeGreaterThanOrEqual(6));

for (const { title, script } of guides) test(`how to: ${title}`, async () => void (await follow(script)));

test("the README's own mount works", async () => {
  const [first, second] = blocksFrom("README.md", "sluice mount --lower /tmp/try/lower");
  // The reader has another terminal, and an empty /tmp.
  const script = `${first.trimEnd()} >try.out 2>&1 &\nuntil grep -q '^mounted' try.out; do sleep 0.2; done\n${second}wait $!`;
  const { stdout } = await follow(script.replaceAll("/tmp/try", "$PWD/try"));
  expect(stdout).toMatch(/^\S*policy.yaml: ok, 2 rules/);
  expect(stdout).toContain("\nhello\n");
  expect(stdout).toMatch(/^rule +private-keys$/m);
});

/** Namespaces with their own /srv and /mnt, and places for commands that belong to the test. */
const OWN_MACHINE = `
mkdir hu hw bu bw
mount -t overlay none /usr/sbin -o lowerdir=/usr/sbin,upperdir=hu,workdir=hw
mount -t overlay none /usr/local/bin -o lowerdir=/usr/local/bin,upperdir=bu,workdir=bw
mount -t tmpfs none /srv && mount -t tmpfs none /mnt
`;

const inNamespace = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command unshare").test;

inNamespace("the drop-in's command line, mount(8) and a line of /etc/fstab", async () => {
  const [commands, line] = blocksFrom("docs/drop-in.md", "--install-helpers");
  expect(line).toContain("fuse.sluice");
  const { stdout } = await follow(
    `${OWN_MACHINE}
    mkdir /srv/a /srv/b /srv/upper /srv/work /mnt/view && echo text >/srv/b/file
    ${commands.replace("umount /mnt/view ", "cat /mnt/view/file; umount /mnt/view ")}
    cat /mnt/view/file; umount /mnt/view
    /usr/local/bin/sluice --version
    cat >fstab <<'END'\n${line}END
    mount -T fstab /mnt/view; cat /mnt/view/file; umount /mnt/view`,
    { inNamespace: true },
  );
  expect(stdout.match(/^text$/gm)).toHaveLength(3);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+$/m);
});

/** An image of this machine's own shell and tools, which replaces one from a registry; no network, no limits to set. */
const PODMAN = `
grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts || { umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; }
mkdir eu ew lib root root/bin root/etc root/tmp root/proc root/sys root/dev
mount -t overlay none /etc -o lowerdir=/etc,upperdir=eu,workdir=ew
mount --bind lib /var/lib && mount -t tmpfs none /run
for tool in sh cat ls sleep grep; do
  program=$(readlink -f "$(command -v $tool)")
  cp "$program" root/bin/$tool
  ldd "$program" | grep -o '/[^ ]*'
done | sort -u | while read -r library; do mkdir -p "root$(dirname "$library")" && cp -L "$library" "root$library"; done
echo 'root:x:0:0:root:/:/bin/sh' >root/etc/passwd && echo 'root:x:0:' >root/etc/group && echo 'root:*' >root/etc/shadow
tar -C root --owner=0 --group=0 -cf base.tar .
export PODMAN_IGNORE_CGROUPSV1_WARNING=1
trap 'podman rm -af -t 0' EXIT
`;

const withPodman = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command unshare", "command podman", "command crun").test;

withPodman(
  "how to: run podman's containers on it",
  async () => {
    const [block] = blocksFrom("docs/guides.md", "podman run");
    const imported = "podman import -q base.tar docker.io/library/alpine:latest\n";
    const bare = 'podman run -d --network=none --cgroups=disabled --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)"';
    const script = block
      .replace(/^podman run -d/m, `${imported}${bare}`)
      .replace("podman rm -f try", "podman rm -f -t 0 try")
      .replace(/^podman exec try cat \/etc\/shadow.*$/m, "if podman exec try cat /etc/shadow; then exit 9; fi");
    const { stdout } = await follow(`${OWN_MACHINE}${PODMAN}${script}podman rmi -af`, { inNamespace: true });
    expect(stdout).toMatch(/^sluice \/ fuse\.sluice /m);
    expect(stdout).toMatch(/^C \/etc\nA \/etc\/mine$/m);
    expect(stdout).toMatch(/^policy +containers\.yaml/m);
  },
  300_000,
);

inNamespace("changes of an agent can be reviewed, taken and discarded", async () => {
  const [commands] = blocksFrom("docs/changes.md", "/srv/try/tree");
  const { stdout } = await follow(
    `${OWN_MACHINE}
    mkdir /srv/project && echo old >/srv/project/file
    ${commands
      .replace("# the agent works in /srv/try/tree", "echo new >/srv/try/tree/file")
      // A person answers its question.
      .replace("sluice reset", "sluice reset --yes")}
    cat /srv/project/file /srv/project.new/file; ls -A /srv/try/upper`,
    { inNamespace: true },
  );
  expect(stdout).toMatch(/^M +file$/m);
  expect(stdout).toMatch(/\nold\nnew\n$/);
});
