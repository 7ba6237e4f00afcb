/**
 * `--layers-beneath`: somebody else owns the directories that the layers lie in, and puts links in their place before, during and after the
 * mount. Nothing outside is ever read or written.
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  descendantsOf,
  eventually,
  killProcess,
  layers,
  MountFailure,
  mountSluice,
  mountsShareProcess,
  requires,
  runScript,
  runSluice,
  scratch,
  type SluiceMount,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

interface Volume {
  /** Of root, as the directory that the volume is mounted on. */
  root: string;
  /** Of somebody else, with everything below it. */
  own: string;
  lower: string;
  upper: string;
  work: string;
  /** The tree that links of the volume lead to. */
  outside: string;
  mountpoint: string;
}

const NAMES = ["lower", "upper", "work"] as const;

function volume(): Volume {
  const root = join(scratch(), "root");
  const outside = scratch();
  const own = join(root, "a/b");
  const [lower, upper, work] = NAMES.map((name) => join(own, name)) as [string, string, string];
  for (const path of [lower, upper, work, ...NAMES.map((name) => join(outside, "b", name))]) mkdirSync(path, { recursive: true });
  for (const name of ["lower", "upper"]) writeFileSync(join(outside, "b", name, "secret"), "secret");
  writeFileSync(join(lower, "file"), "lower");
  return { root, own, lower, upper, work, outside: join(outside, "b"), mountpoint: scratch() };
}

function mounted({ root, lower, upper, work, mountpoint }: Volume, args: readonly string[] = []): Promise<SluiceMount> {
  return mountSluice({ lowers: [lower], upper, work, mountpoint, args: ["--layers-beneath", root, ...args] });
}

function replaceByLink(path: string, target: string): void {
  renameSync(path, `${path}.away`);
  symlinkSync(target, path);
}

function expectUntouched({ outside }: Volume): void {
  expect(readdirSync(join(outside, "upper"))).toEqual(["secret"]);
  expect(readdirSync(join(outside, "work"))).toEqual([]);
  expect(readdirSync(join(outside, "lower"))).toEqual(["secret"]);
}

describe("with --layers-beneath", () => {
  test("a mount works as without it, and the directory itself may be reached by a link", async () => {
    const made = volume();
    const link = join(scratch(), "link");
    symlinkSync(made.root, link);
    const below = (path: string): string => path.replace(made.root, link);
    const mount = await mountSluice({
      lowers: [below(made.lower)],
      upper: below(made.upper),
      work: below(made.work),
      args: ["--layers-beneath", link],
    });
    expect((await runScript(["sh", "-c", `echo changed >${mount.path("file")}`])).code).toBe(0);
    expect(readFileSync(join(made.upper, "file"), "utf8")).toBe("changed\n");
    expect(readFileSync(join(made.lower, "file"), "utf8")).toBe("lower");
  });

  for (const name of ["a/b/upper", "a/b/work", "a/b/lower", "a/b", "a"])
    test(`a link in place of ${name} is refused`, async () => {
      const made = volume();
      replaceByLink(join(made.root, name), join(made.outside, "..", name.slice("a/".length)));
      const failure = await mounted(made).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(MountFailure);
      expect((failure as MountFailure).stderr).toContain("a symbolic link lies on its path (ELOOP)");
      expectUntouched(made);
    });

  test("a link that stays within the directory is refused", async () => {
    const made = volume();
    replaceByLink(made.upper, "upper.away");
    await expect(mounted(made)).rejects.toThrow("ELOOP");
  });

  test("a path that leads out of the directory is refused before anything is opened", async () => {
    const made = volume();
    for (const upper of [join(made.outside, "upper"), `${made.root}/../${made.outside}/upper`, `${made.root}.other`]) {
      const failure = await mounted({ ...made, upper }).catch((error: unknown) => error);
      expect((failure as MountFailure).stderr).toContain("does not lie beneath");
      expect((failure as MountFailure).exit.code).toBe(2);
    }
    expectUntouched(made);
  });

  for (const keeper of ["off", "on"])
    test(`links put in place of the layers during the mount lead nowhere, with --keeper ${keeper}`, async () => {
      const made = volume();
      symlinkSync(join(made.outside, "upper"), join(made.own, "link"));
      const swap = "mv -T upper held && mv -T link upper && mv -T upper link && mv -T held upper";
      const swapper = startScript(["sh", "-c", `cd ${made.own} && echo swapping && while [ ! -e stop ]; do ${swap} || exit 1; done`]);
      await swapper.waitFor("swapping");
      let outcomes = "";
      for (let at = 0; at < 6; at++) {
        const mount = await mounted(made, ["--keeper", keeper]).catch((error: unknown) => String(error));
        if (typeof mount === "string") {
          expect(mount).toMatch(/ELOOP|ENOENT|ENOTDIR|ESTALE/);
          outcomes += "refused ";
          continue;
        }
        outcomes += "mounted ";
        expect((await runScript(["sh", "-c", `echo written >${mount.path(`file-${at}`)}; ls ${mount.mountpoint}`])).stdout).not.toContain(
          "secret",
        );
        await mount.stop();
      }
      writeFileSync(join(made.own, "stop"), "");
      await swapper.finished;
      expect(outcomes).not.toBe("");
      expectUntouched(made);
    });

  test("a link put in place of the layers later changes nothing, also for the next server", async () => {
    const made = volume();
    const mount = await mounted(made, ["--keeper", "on"]);
    for (const name of ["upper", "work", "lower"]) replaceByLink(join(made.own, name), join(made.outside, name));
    const before = mount.serverPid;
    const server = descendantsOf(mount.pid).find(({ pid }) => pid === before);
    if (server !== undefined) killProcess(server);
    await eventually("the next server serves", 30_000, () => mount.serverPid !== before && mount.serverPid !== mount.pid);
    expect((await runScript(["sh", "-c", `echo written >${mount.path("new")}; cat ${mount.path("file")}`])).stdout).toBe("lower");
    expect(readFileSync(join(made.own, "upper.away/new"), "utf8")).toBe("written\n");
    expectUntouched(made);
  });

  test("a hard link of the volume stays a file of the volume", async () => {
    const made = volume();
    linkSync(join(made.lower, "file"), join(made.upper, "other"));
    const mount = await mounted(made);
    expect((await runScript(["sh", "-c", `cat ${mount.path("other")}`])).stdout).toBe("lower");
    expectUntouched(made);
  });

  test("a host service follows no link into a mount of its own, and refuses a layer that lies on one", async () => {
    const host = await startHostService();
    const one = await mountSluice({ lowers: [layers({ lower: { file: "first" } }).lower], args: host.args });
    const made = volume();
    replaceByLink(made.lower, one.mountpoint);
    const asked = (root: string, lower: string): ReturnType<typeof runSluice> =>
      runSluice(["mount", ...host.args, "--layers-beneath", root, "--lower", lower, made.mountpoint], { timeoutMs: 150_000 });
    expect((await asked(made.root, made.lower)).stderr).toContain("ELOOP");
    expect((await asked(join(one.mountpoint, ".."), one.mountpoint)).stderr).toContain("EDEADLK");
    expect((await runScript(["cat", one.path("file")])).stdout).toBe("first");
  });
});
