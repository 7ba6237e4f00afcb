// Every artefact of a release but those of ../installed.test.ts, installed and used: with Node inside in a Debian whose Node
// is too old, by npm without scripts, by dnf, and the addon for arm64 under an emulator. `npm run test:soak release`.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires, runScript, scratch } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { buildBundle } from "../../../packages/dev/build.mjs";
import { cachesAtStart, debianRoot, expectFirstMinute, LIMIT_MS, release, succeed } from "../debian-root.js";

const inRoot = ["/dev/fuse", "CAP_SYS_ADMIN", "user namespaces", "command mmdebstrap", "command readelf"] as const;

beforeAll(() => expect(buildBundle()).toBe(true));

const STAND_IN = fileURLToPath(new URL("../stand-in.spec", import.meta.url));

const named = (directory: string, pattern: RegExp): string =>
  join(directory, readdirSync(directory).find((name) => pattern.test(name)) ?? "none");

/** The first block of commands below a heading of a page. */
function commandsBelow(page: string, heading: string): string {
  const text = readFileSync(fileURLToPath(new URL(`../../../${page}`, import.meta.url)), "utf8");
  const [, commands] = /```sh\n([\s\S]*?)```/.exec(text.slice(text.indexOf(`${heading}\n`))) ?? [];
  return commands ?? `${page} has no commands below ${heading}`;
}

const packaging = requires(...inRoot, "command dpkg-deb", "command lintian");
packaging.describe("Debian's packages and the archive with Node inside", () => {
  let out = "";
  beforeAll(async () => {
    out = await release("tar-with-node,deb,deb-with-node");
  }, LIMIT_MS);

  packaging.test(
    "the artefacts with Node inside serve in a Debian without Node",
    async () => {
      const root = await debianRoot("bookworm");
      await succeed(["tar", "-xzf", named(out, /\.tar\.gz$/), "-C", join(root.at, "opt")]);
      const use = "ln -s /opt/*/bin/sluice /usr/bin/mine && /tmp/first-minute.sh mine && rm -r /usr/bin/mine /opt/*";
      expectFirstMinute(await root.run("sh", "-c", use));
      cpSync(named(out, /with-node_.*\.deb$/), join(root.at, "tmp/sluice.deb"));
      const before = await root.paths();
      await root.run("dpkg", "-i", "/tmp/sluice.deb");
      expectFirstMinute(await root.run("/tmp/first-minute.sh", "sluice"));
      expect(await cachesAtStart(root, "/usr/lib/sluice/lib/node")).toEqual(["taken"]);
      await root.run("dpkg", "--purge", "sluice-with-node");
      expect(await root.paths()).toEqual(before);
    },
    LIMIT_MS,
  );

  packaging.test(
    "the commands of the README and of the install page lead to a sandbox and to a mount with a policy",
    async () => {
      const root = await debianRoot("trixie");
      cpSync(named(out, /^sluice_.*\.deb$/), join(root.at, "tmp/sluice_VERSION_amd64.deb"));
      const first = commandsBelow("README.md", "## Install").replace("-- bash", "-- true");
      // Of its three commands the first one is the README's.
      const second = commandsBelow("docs/install.md", "## From nothing to a mount with a policy").replace(/^apt .*\n/, "");
      const use = `cd /tmp
        apt() { apt-get --yes "$@"; }
        ${first}
        echo key >/srv/server.pem
        echo hello >/srv/greeting
        ${second}
        cat /mnt/view/greeting
        cat /mnt/view/server.pem && exit 1
        sluice explain /mnt/view/server.pem
        sluice unmount /mnt/view
        apt purge sluice`;
      const said = await root.run("sh", "-ec", use);
      expect(said).toMatch(/^hello$/m);
      expect(said).toContain("private-keys");
    },
    LIMIT_MS,
  );

  packaging.test(
    "lintian finds nothing but named exceptions",
    async () => {
      for (const name of [/^sluice_.*\.deb$/, /with-node_.*\.deb$/])
        expect((await succeed(["lintian", "--fail-on", "error,warning", named(out, name)])).stdout).toBe("");
    },
    LIMIT_MS,
  );
});

requires(...inRoot, "command npm", "command aarch64-linux-gnu-gcc").test(
  "npm installs all commands without a network, compiler or script, and compiles only if no prebuilt addon loads",
  async () => {
    const [out, root, prefix] = [await release("npm"), await debianRoot("trixie"), scratch()];
    mkdirSync(join(prefix, "lib"));
    const quiet = ["--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", join(prefix, "cache")];
    await succeed(["npm", "install", "-g", "--prefix", prefix, ...quiet, named(out, /\.tgz$/)]);
    expect(readdirSync(join(prefix, "bin"))).toHaveLength(5);
    cpSync(prefix, join(root.at, "opt/npm"), { recursive: true, verbatimSymlinks: true });
    expectFirstMinute(await root.run("/tmp/first-minute.sh", "/opt/npm/bin/sluice"));

    const native = join(prefix, "lib/node_modules/sluice/packages/native");
    const install = async (): Promise<string> => (await succeed([process.execPath, join(native, "build.mjs"), "--unless-prebuilt"])).stdout;
    await install();
    expect(existsSync(join(native, "build"))).toBe(false);
    rmSync(join(native, "prebuilt"), { recursive: true });
    expect((await runScript([join(prefix, "bin/sluice"), "doctor"])).stderr).toContain("it has not been built");
    await install();
    await succeed([join(prefix, "bin/sluice"), "doctor"]);
  },
  LIMIT_MS,
);

requires(...inRoot, "command rpm", "command rpmbuild", "command dnf").test(
  "dnf installs the rpm without a network, it serves, and dnf removes all but the user of the decision service",
  async () => {
    const [out, root, top] = [await release("rpm"), await debianRoot("trixie"), scratch()];
    const file = named(out, /\.rpm$/);
    const { stdout: list } = await succeed(["rpm", "-qlp", file]);
    for (const path of ["bin/sluice", "sbin/mount.fuse.sluice", "lib/systemd/system/sluice@.service", "share/man/man1/sluice-run.1.gz"])
      expect(list.split("\n")).toContain(`/usr/${path}`);
    const { stdout: needed } = await succeed(["rpm", "-qp", "--requires", "--recommends", file]);
    for (const name of ["nodejs >= 20.19", "fuse3", "bubblewrap", "attr"]) expect(needed).toContain(name);

    await succeed(["rpmbuild", "-bb", "--quiet", "--define", `_topdir ${top}`, STAND_IN]);
    const own = ["--disablerepo=*", "--setopt=install_weak_deps=False", "--releasever=1", "--nogpgcheck", "--assumeyes"];
    const dnf = (...argv: string[]): Promise<unknown> => succeed(["dnf", `--installroot=${root.at}`, ...own, ...argv]);
    await dnf("install", named(join(top, "RPMS/noarch"), /\.rpm$/));
    const before = await root.paths();
    await dnf("install", file);
    // Directories of a merged /usr are still links.
    expect(await root.run("readlink", "/bin", "/sbin", "/lib")).toBe("usr/bin\nusr/sbin\nusr/lib\n");
    expect(await root.run("getent", "passwd", "sluice-decision")).toContain("/usr/sbin/nologin");
    expectFirstMinute(await root.run("/tmp/first-minute.sh", "sluice"));
    expect(await cachesAtStart(root, "/usr/bin/node")).toEqual(["taken"]);
    await dnf("remove", "sluice");
    expect(await root.paths()).toEqual(before);
  },
  LIMIT_MS,
);

requires("command npm", "command aarch64-linux-gnu-gcc", "command qemu-aarch64", "command readelf").test(
  "the archive for arm64 starts under an emulator, and its addon loads",
  async () => {
    const out = await release("tar-with-node", {}, "arm64");
    const at = scratch();
    await succeed(["tar", "-xzf", named(out, /\.tar\.gz$/), "-C", at]);
    const tree = named(at, /^sluice-/);
    // It knows no passthrough: an emulator of user space translates no ioctl of FUSE.
    const sluice = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", join(tree, "lib/node"), join(tree, "packages/cli/bin/sluice.cjs")];
    expect((await succeed([...sluice, "--version"])).stdout).toMatch(/^\d+\.\d+\.\d+/);
    const { stdout, code } = await runScript([...sluice, "doctor"], { timeoutMs: LIMIT_MS });
    expect(stdout).toContain("ok     kernel");
    expect([0, 3]).toContain(code);
  },
  LIMIT_MS,
);
