/** Mounts that a process with other mounts cannot serve: it says so, and goes on; with `auto` they get a process of their own. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountsOf } from "@sluice/host-api";
import {
  Actor,
  type HostService,
  layers,
  mountKernelOverlay,
  mountSluice,
  policyOf,
  requires,
  runScript,
  runSluice,
  scratch,
  type ScriptResult,
  type SluiceMount,
  startHostService,
} from "@sluice/testkit";
import { beforeAll, expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const stacked = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

const SLUICE = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const OVERLAYFS = fileURLToPath(new URL("../../../packages/overlayfs-cli/bin/sluice-overlayfs.cjs", import.meta.url));

/** The socket that `--host-service auto` looks for. */
const USUAL_SOCKET = "/run/sluice/host.sock";

interface Served {
  host: HostService;
  mount: SluiceMount;
  lower: string;
}

/** A service with a mount, which has the directories `a` and `point` and the file `policy.yaml`. No test here ends it. */
let all: Served;

beforeAll(async () => {
  const host = await startHostService();
  const { lower, upper } = layers({ lower: { "a/word": "deep", "point/x": "", "policy.yaml": policyOf("grant") } });
  const mount = await mountSluice({ lowers: [lower], upper, args: host.args });
  all = { host, mount, lower };
});

function emptyDirectory(): string {
  const path = join(scratch(), "merged");
  mkdirSync(path);
  return path;
}

async function expectServes(): Promise<void> {
  expect(await (await Actor.start()).do("contents", all.mount.path("a", "word"))).toBe("deep");
}

/** The arguments of a mount whose server would have to ask itself. */
const SELF: Readonly<Record<string, (mount: SluiceMount, lower: string) => string[]>> = {
  "a layer": (mount) => ["--lower", mount.path("a"), emptyDirectory()],
  "a layer behind links": (mount) => {
    const links = scratch();
    symlinkSync(mount.mountpoint, join(links, "one"));
    symlinkSync("one/../one/a", join(links, "two"));
    return ["--lower", join(links, "two"), emptyDirectory()];
  },
  "the mount point": (mount, lower) => ["-o", "nonempty", "--lower", lower, mount.path("point")],
  "a mount point above it": (mount, lower) => ["-o", "nonempty", "--lower", lower, dirname(mount.mountpoint)],
  "the policy file": (mount, lower) => ["--lower", lower, "--policy", mount.path("policy.yaml"), emptyDirectory()],
  "the log file": (mount, lower) => ["--lower", lower, "--log-file", mount.path("log"), emptyDirectory()],
};

describe("a mount on another one of the same process is refused:", () => {
  for (const [what, argsOf] of Object.entries(SELF)) {
    test(what, async () => {
      const refused = await runSluice(["mount", ...all.host.args, ...argsOf(all.mount, all.lower)]);
      expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("which the same host service serves (EDEADLK)") as string });
      await expectServes();
    });
  }

  stacked.test("a layer on a kernel overlay over it", async () => {
    const overlay = mountKernelOverlay({ lowers: [all.mount.mountpoint, all.lower] });
    const refused = await runSluice(["mount", ...all.host.args, "--lower", join(overlay, "a"), emptyDirectory()]);
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("EDEADLK") as string });
    await expectServes();
  });
});

describe("an option that needs a process of its own is refused:", () => {
  const OPTIONS = [
    ["--keeper", "on"],
    ["--engine", "fuse-native"],
    ["--transport", "uring"],
    ["--idle-polling", "on"],
  ];
  for (const option of OPTIONS) {
    test(option.join(" "), async () => {
      const { lower } = layers({});
      const refused = await runSluice(["mount", ...all.host.args, ...option, "--lower", lower, emptyDirectory()]);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(`sluice: ${option[0]}`);
      expect(refused.stderr).toContain("or mount with --host-service off");
    });
  }
});

describe("--host-service auto", () => {
  test("mounts in a process of its own if no service answers, or the service cannot have the mount", async () => {
    await expect(mountsOf(USUAL_SOCKET, 30_000)).rejects.toThrow();
    const { lower } = layers({ lower: { word: "x" } });
    const alone = await mountSluice({ lowers: [lower], args: ["--host-service", "auto"] });
    expect(alone.readyLine).not.toContain("host service");
    const host = await startHostService([], { socket: USUAL_SOCKET });
    const inService = await mountSluice({ lowers: [lower], args: ["--host-service", "auto"] });
    expect(inService.readyLine).toContain(`by the host service, pid ${host.pid}`);
    const kept = await mountSluice({ lowers: [lower], args: ["--host-service", "auto", "--keeper", "on"] });
    expect(kept.readyLine).not.toContain("host service");
    const above = await mountSluice({ lowers: [inService.mountpoint], args: ["--host-service", "auto"] });
    expect(above.readyLine).not.toContain("host service");
    expect(await (await Actor.start()).do("contents", above.path("word"))).toBe("x");
  });

  test("mounts in a process of its own if the service is in another mount namespace", async () => {
    const host = await startHostService([], { socket: USUAL_SOCKET });
    const { lower } = layers({ lower: { word: "x" } });
    const mountpoint = emptyDirectory();
    const commands = [
      `"$0" "$1" mount --host-service auto --background --log-file "$2.log" --lower "$3" "$2"`,
      `cat "$2/word"; grep " $2 " /proc/mounts >&2; "$0" "$1" unmount "$2"`,
    ];
    const words = ["unshare", "--mount", "sh", "-c", commands.join("\n"), process.execPath, SLUICE, mountpoint, lower];
    const made = await runScript(words);
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^mounted (?!.*by the host service).*\nx/) as string });
    expect(made.stderr).toContain(` ${mountpoint} fuse.sluice `);
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain(` ${mountpoint} `);
    expect((await runSluice(["status", "--json"])).stdout).not.toContain(host.socket);
  });

  test("is the default of sluice-overlayfs, which prints nothing", async () => {
    const { lower } = layers({ lower: { word: "x" } });
    const [mountpoint, above] = [emptyDirectory(), emptyDirectory()];
    const dropIn = (...words: string[]): Promise<ScriptResult> =>
      runScript(["env", "-u", "SLUICE_HOST_SERVICE", process.execPath, OVERLAYFS, ...words]);
    await startHostService([], { socket: USUAL_SOCKET });
    const mountsOfHost = async (): Promise<string[]> => (await mountsOf(USUAL_SOCKET, 30_000)).map((each) => each.mountpoint);
    expect(await dropIn("-o", `lowerdir=${lower}`, mountpoint)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(await mountsOfHost()).toEqual([mountpoint]);
    expect(await (await Actor.start()).do("contents", join(mountpoint, "word"))).toBe("x");
    // The service cannot serve this one.
    expect(await dropIn("-o", `lowerdir=${mountpoint}`, above)).toMatchObject({ code: 0 });
    expect(await mountsOfHost()).toEqual([mountpoint]);
    expect((await runSluice(["unmount", above])).code).toBe(0);
    expect((await runScript(["umount", mountpoint])).code).toBe(0);
    await expect.poll(mountsOfHost).toEqual([]);
    expect(await dropIn("-o", `lowerdir=${lower},host_service=off`, mountpoint)).toMatchObject({ code: 0 });
    expect(await mountsOfHost()).toEqual([]);
    expect((await runSluice(["unmount", mountpoint])).code).toBe(0);
  });

  test("is read from a configuration file and the environment like every option", async () => {
    const { host } = all;
    const { lower } = layers({ lower: { word: "x" } });
    const [mountpoint, file] = [emptyDirectory(), join(scratch(), "mount.yaml")];
    writeFileSync(file, `lower: [${lower}]\nmountpoint: ${mountpoint}\nbackground: true\nname: from-file\nlocks: nobody\n`);
    const refused = await runSluice(["mount", "--config", file], { env: { SLUICE_HOST_SERVICE: host.socket } });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(`${file}:5:1: locks: "nobody" is none of`) as string });
    const made = await runSluice(["mount", "--config", file, "--locks", "kernel"], { env: { SLUICE_HOST_SERVICE: host.socket } });
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining("by the host service") as string });
    expect((await runSluice(["status", mountpoint, "--json"])).stdout).toContain('"name": "from-file"');
    expect((await runSluice(["unmount", mountpoint])).code).toBe(0);
  });
});
