/** A policy with a mistake takes no effect, even if somebody has to start again meanwhile: the one before stays in force. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { runDirectories } from "@sluice/mount-control";
import {
  Actor,
  descendantsOf,
  eventually,
  file,
  killProcess,
  layers,
  mountSluice,
  policyOf,
  type ProcessIdentity,
  requires,
  runSluice,
  type SluiceMount,
  startHostService,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const POLICY = policyOf("grant", { name: "no-secret", path: "secret", effect: "deny" }, { name: "none", path: "hidden", effect: "hide" });
const MISTAKE = "version: 1\ndefault: grnt\n";

const tree = (): { lower: string; upper: string } => layers({ lower: { f: file("f"), secret: file("secret"), hidden: file("hidden") } });

function mounted(args: readonly string[] = []): Promise<SluiceMount> {
  const { lower, upper } = tree();
  return mountSluice({ lowers: [lower], upper, policy: POLICY, args: [...args] });
}

async function refusedEdit(mount: SluiceMount): Promise<string | null> {
  const { policy } = (await mount.status()) as { policy: { refusedEdit: string | null } | null };
  return policy?.refusedEdit ?? null;
}

function edit({ policyFile = "" }: SluiceMount, text: string): void {
  writeFileSync(policyFile, text);
}

/** The edit has been looked at and refused. */
async function breakPolicy(mount: SluiceMount): Promise<void> {
  edit(mount, MISTAKE);
  await eventually("the edit is refused", AMPLE_MS, async () => (await refusedEdit(mount)) !== null);
}

async function expectFormerPolicy(mount: SluiceMount, actor: Actor): Promise<void> {
  const opened = async (name: string): Promise<number> => {
    const fd = await actor.do("open", mount.path(name), O.RDONLY);
    return fd < 0 ? fd : actor.do("close", fd);
  };
  expect([await opened("f"), await opened("secret"), await opened("hidden")]).toEqual([0, -Errno.EACCES, -Errno.ENOENT]);
  await eventually("the mistake is told", AMPLE_MS, async () => (await refusedEdit(mount)) !== null);
}

async function expectNextEdit(mount: SluiceMount, actor: Actor): Promise<void> {
  edit(mount, policyOf("deny"));
  await eventually("the next edit holds", AMPLE_MS, async () => (await actor.do("open", mount.path("f"), O.RDONLY)) === -Errno.EACCES);
  expect(await refusedEdit(mount)).toBeNull();
}

test("the policy stays in force if the server is killed after an edit with a mistake, and nothing of it is left at the end", async () => {
  const supervised = await mountSupervised({ ...tree(), policy: POLICY });
  const { mount } = supervised;
  const actor = await Actor.start();
  await breakPolicy(mount);
  for (let kills = 0; kills < 2; kills++) {
    const { decided } = supervised;
    expect(supervised.killServer()).toBe(true);
    await eventually("the next server serves", AMPLE_MS, () => supervised.decided > decided);
    await expectFormerPolicy(mount, actor);
  }
  await expectNextEdit(mount, actor);
  expect((await mount.stop()).code).toBe(0);
  expect(runDirectories(mount.mountpoint).filter((path) => existsSync(path))).toEqual([]);
});

test("the policy stays in force if the file is removed, and the server is replaced by another version", async () => {
  const { mount } = await mountSupervised({ ...tree(), policy: POLICY });
  const actor = await Actor.start();
  rmSync(mount.policyFile as string);
  await eventually("the removal is told", AMPLE_MS, async () => (await refusedEdit(mount)) !== null);
  expect(await runSluice(["upgrade", mount.mountpoint])).toMatchObject({ code: 0 });
  await expectFormerPolicy(mount, actor);
  await expectNextEdit(mount, actor);
  expect((await mount.stop()).code).toBe(0);
});

test("the policy stays in force if the decision service dies after an edit with a mistake", async () => {
  const mount = await mounted();
  const actor = await Actor.start();
  await breakPolicy(mount);
  killProcess(descendantsOf(mount.pid).find(({ command }) => command.includes("decision")) as ProcessIdentity);
  await eventually("another one answers", AMPLE_MS, () => mount.log().split('"a decision service answers"').length > 2);
  await expectFormerPolicy(mount, actor);
  await expectNextEdit(mount, actor);
  expect((await mount.stop()).code).toBe(0);
});

test("the policy of mounts in a host service stays in force if that is killed after an edit with a mistake", async () => {
  const host = await startHostService(["--keeper", "on"]);
  const mount = await mounted(host.args);
  const actor = await Actor.start();
  await breakPolicy(mount);
  const { server } = host;
  killProcess(server as ProcessIdentity);
  await eventually("another process serves", AMPLE_MS, () => ![undefined, server?.pid].includes(host.server?.pid));
  await expectFormerPolicy(mount, actor);
  await expectNextEdit(mount, actor);
});
