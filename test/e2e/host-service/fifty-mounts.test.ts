/** Fifty mounts of one service: their start, processes and memory, their isolation, and the kill of the process that serves them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";
import {
  Actor,
  bytes,
  cleanUp,
  descendantsOf,
  eventually,
  type HostService,
  killProcess,
  mountsBelow,
  plant,
  policyOf,
  requires,
  scratch,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { expect } from "vitest";
import { compileCaller, startWorker } from "../../bench/costs/host/workers.mjs";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command cc");

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const LIFE_MS = 300_000;
const MOUNTS = 50;
const POLICIES = 20;
/** docs/decisions/0024-policies-share-a-process.md */
const POLICIES_OF_A_PROCESS = 16;
const AMPLE_MS = 120_000;
/** MiB of all processes for each mount, with many policies. */
const MEMORY_LIMIT = 10;
/** Of each caller: the test is not to wait for a busy machine. */
const PAUSE_US = 300_000;

class Client {
  readonly #client: InstanceType<typeof wire.HostServiceClient>;
  readonly #home = scratch();

  constructor(host: HostService) {
    this.#client = new wire.HostServiceClient(`unix://${host.socket}`, credentials.createInsecure());
    cleanUp(() => this.#client.close());
  }

  /** @returns the mount point of a mount with the files `word` and `secret`, which say `name` */
  async mount(name: string, others: Record<string, string>): Promise<string> {
    const base = join(this.#home, name);
    for (const each of ["upper", "work", "merged"]) mkdirSync(join(base, each), { recursive: true });
    const given = {
      lower: plant(join(base, "lower"), { word: name, secret: name }),
      upper: join(base, "upper"),
      work: join(base, "work"),
      name,
    };
    const options = Object.entries({ ...given, ...others }).map(([option, value]) => ({ name: option, values: [value] }));
    const mountpoint = join(base, "merged");
    const call = this.#client.mount();
    call.write({
      message: {
        $case: "begin",
        value: { mountpoint, options, directory: "/", attached: false, abandonedAtEnd: false, mountNamespace: 0 },
      },
    });
    call.end();
    for await (const { message } of call as AsyncIterable<wire.MountResponse>)
      if (message?.$case === "ended") throw new Error(JSON.stringify(message.value));
    return mountpoint;
  }

  serving(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#client.listMounts({}, (error, response) =>
        error === null ? resolve(response.mounts.filter(({ state }) => state === wire.HostedMount_State.SERVING).length) : reject(error),
      ),
    );
  }
}

/** Every second policy denies `secret`. @returns their files */
function policyFiles(): string[] {
  const home = scratch();
  return Array.from({ length: POLICIES }, (_, number) => {
    const file = join(home, `policy-${number}.yaml`);
    const secret = { name: "secret", path: "secret", effect: number % 2 === 0 ? ("grant" as const) : ("deny" as const) };
    writeFileSync(file, policyOf("grant", secret));
    return file;
  });
}

/** MiB, shared pages counted once. */
function memoryOf(host: HostService): number {
  const pids = [host.pid, ...host.children().map(({ pid }) => pid)];
  const kib = pids.map((pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0));
  return kib.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Those below a process. */
function decisionProcesses(pid: number | undefined): number[] {
  const below = pid === undefined ? [] : descendantsOf(pid);
  return below.flatMap((each) => (each.command.includes("decision-child") ? [each.pid] : []));
}

/** Of each `every`th mount. */
async function expectOwnFilesAndPolicies(mounts: readonly string[], every = 1): Promise<void> {
  const actor = await Actor.start();
  for (const [number, mountpoint] of mounts.entries()) {
    if (number % every !== 0) continue;
    expect(await actor.do("contents", join(mountpoint, "word"))).toBe(`mount-${number}`);
    const isGranted = (number % POLICIES) % 2 === 0;
    expect(await actor.do("contents", join(mountpoint, "secret"))).toBe(isGranted ? `mount-${number}` : -Errno.EACCES);
  }
}

interface Hanging {
  target: string;
  /** From now on it answers nothing. */
  hang(): void;
  goOn(): void;
}

async function startDecisionService(): Promise<Hanging> {
  const home = scratch();
  const [policy, target] = [join(home, "policy.yaml"), `unix://${join(home, "decision.sock")}`];
  writeFileSync(policy, policyOf("grant"));
  const service = startScript([process.execPath, CLI, "decision", "--policy", policy, "--listen", target], { timeoutMs: LIFE_MS });
  await service.waitFor("deciding at");
  cleanUp(async () => {
    service.kill("SIGKILL");
    await service.finished;
  });
  const signal = (name: NodeJS.Signals): void => void process.kill(service.pid, name);
  return { target, hang: () => signal("SIGSTOP"), goOn: () => signal("SIGCONT") };
}

test("fifty mounts share few processes, stay apart, and no call on them fails when their process is killed", async () => {
  const host = await startHostService(["--keeper", "on"]);
  const client = new Client(host);
  const policies = policyFiles();
  const mounts: string[] = [];
  for (let number = 0; number < MOUNTS; number++)
    mounts.push(await client.mount(`mount-${number}`, { policy: policies[number % POLICIES] as string }));
  expect(await client.serving()).toBe(MOUNTS);
  await expectOwnFilesAndPolicies(mounts);

  const perService = Math.ceil(POLICIES / POLICIES_OF_A_PROCESS);
  await eventually(
    "a process stands by, with its decision processes",
    AMPLE_MS,
    () => decisionProcesses(host.standby?.pid).length === perService,
  );
  expect(decisionProcesses(host.server?.pid)).toHaveLength(perService);
  // Besides the keeper.
  expect(host.children()).toHaveLength(2 + 2 * perService);
  expect(memoryOf(host) / MOUNTS).toBeLessThan(MEMORY_LIMIT);

  const service = await startDecisionService();
  const hung = await client.mount("hung", { decision: service.target, "decision-timeout": "300s" });
  await client.mount("failing", { decision: "unix:///nowhere/nobody.sock", "decision-timeout": "100ms" });
  const worker = startWorker(compileCaller(scratch()), "change", PAUSE_US, mounts);
  cleanUp(() => worker.end());
  service.hang();
  const waiting = await Actor.start();
  let isAnswered = false;
  const answer = waiting.do("contents", join(hung, "word")).finally(() => (isAnswered = true));
  await eventually("every mount is used", AMPLE_MS, async () => (await worker.ask()).places.every(({ calls }) => calls > 0));
  await expectOwnFilesAndPolicies(mounts, 7);
  expect(isAnswered).toBe(false);

  const { server, standby } = host;
  if (server === undefined) throw new Error("nobody serves");
  const loaded = decisionProcesses(standby?.pid);
  killProcess(server);
  await eventually("another process serves", AMPLE_MS, () => ![undefined, server.pid].includes(host.server?.pid));
  const before = (await worker.ask()).places.map(({ calls }) => calls);
  const wentOn = async (): Promise<boolean> => (await worker.ask()).places.every(({ calls }, at) => calls > (before[at] ?? 0) + 1);
  await eventually("every mount is used again", AMPLE_MS, wentOn);
  expect(host.server?.pid).toBe(standby?.pid);
  expect(decisionProcesses(host.server?.pid)).toEqual(loaded);
  expect(await worker.ask()).toMatchObject({ failures: 0, failed: "" });
  expect(isAnswered).toBe(false);
  await worker.end();
  await expectOwnFilesAndPolicies(mounts);
  service.goOn();
  expect(await answer).toBe("hung");
  expect((await host.stop()).code).toBe(0);
  for (const mountpoint of mounts) expect(mountsBelow(bytes(mountpoint))).toEqual([]);
});
