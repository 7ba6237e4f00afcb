/** A mount that cannot be made leaves nothing behind in a process that goes on, and its command says why as always. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Actor,
  bytes,
  cleanUp,
  eventually,
  type HostService,
  layers,
  machineHas,
  mountKernelOverlay,
  mountsBelow,
  mountSluice,
  policyOf,
  requires,
  runSluice,
  type SluiceMount,
  startHostService,
} from "@sluice/testkit";
import { beforeAll, expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs");

/** The paths of one attempt; nothing of it is mounted. */
interface Place {
  lower: string;
  upper: string;
  work: string;
  mountpoint: string;
  policy: string;
}

function place(): Place {
  const { root, lower, upper } = layers({ lower: { word: "one" } });
  const made = { lower, upper, work: join(root, "work"), mountpoint: join(root, "merged"), policy: join(root, "policy.yaml") };
  for (const path of [made.work, made.mountpoint]) mkdirSync(path);
  writeFileSync(made.policy, policyOf("grant"));
  return made;
}

function writable({ lower, upper, work, mountpoint }: Place, ...more: readonly string[]): string[] {
  return ["--lower", lower, "--upper", upper, "--work", work, ...more, mountpoint];
}

/** The arguments of `sluice mount`, by the fault. */
const ATTEMPTS: Readonly<Record<string, (made: Place, other: SluiceMount) => string[] | Promise<string[]>>> = {
  "more former upper layers than there are lower ones": (made) => writable(made, "--former-uppers", "1"),
  "an option with a wrong value": (made) => writable(made, "--locks", "nobody"),
  "an unknown mount option": (made) => writable(made, "-o", "unheard"),
  "a lower layer that does not exist": ({ mountpoint, lower }) => ["--lower", `${lower}.not`, mountpoint],
  "a link to a layer below --layers-beneath": ({ lower, mountpoint }) => {
    const root = join(lower, "..");
    symlinkSync(lower, join(root, "link"));
    return ["--layers-beneath", root, "--lower", lower, "--lower", join(root, "link"), mountpoint];
  },
  "a directory of --layers-beneath that does not exist": ({ lower, mountpoint }) => [
    ...["--layers-beneath", `${lower}.not`, "--lower", `${lower}.not/layer`],
    mountpoint,
  ],
  "a mount point that does not exist": ({ mountpoint, lower }) => ["--lower", lower, `${mountpoint}.not`],
  "a mount point that is not empty": ({ lower, upper }) => {
    writeFileSync(join(upper, "file"), "");
    return ["--lower", lower, upper];
  },
  "a mount point that has a mount": ({ lower }, other) => ["--lower", lower, other.mountpoint],
  "a log file that cannot be opened": (made) => {
    mkdirSync(join(made.work, "..", "log"));
    return writable(made, "--log-file", join(made.work, "..", "log"));
  },
  "a policy with a mistake": (made) => {
    writeFileSync(made.policy, "version: 1\ndefault: nothing\n");
    return writable(made, "--policy", made.policy, "--log-level", "silent");
  },
  "answers that others may write": (made) => {
    const answers = join(made.work, "..", "answers");
    writeFileSync(answers, "", { mode: 0o600 });
    symlinkSync(answers, `${answers}.link`);
    return writable(made, "--policy", made.policy, "--answers", `${answers}.link`);
  },
  "a record of the base that cannot be made": (made) => writable(made, "--record-base", join(made.work, "..", "no", "record")),
  "an upper layer on a file system without whiteouts": (made) => {
    const below = layers({});
    mkdirSync(join(below.root, "work"));
    const overlay = mountKernelOverlay({ lowers: [below.lower], upper: below.upper, work: join(below.root, "work") });
    for (const name of ["upper", "work"]) mkdirSync(join(overlay, name));
    return writable({ ...made, upper: join(overlay, "upper"), work: join(overlay, "work") });
  },
  "a work directory with the mark of a volatile mount": (made) => {
    mkdirSync(join(made.work, "work", "incompat", "volatile"), { recursive: true });
    return writable(made);
  },
  "a control socket that another process has": async (made) => {
    const control = join(made.work, "..", "control.sock");
    const server = createServer().listen(control);
    cleanUp(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    return writable(made, "--control", control);
  },
  "an admin port that another process has": async (made) => {
    const server = createServer().listen(0, "127.0.0.1");
    cleanUp(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo; // it listens on TCP
    return writable(made, "--policy", made.policy, "--admin", `127.0.0.1:${port}`);
  },
};

/** Whether there is a directory of the mount's sockets. */
function hasRunDirectory(mountpoint: string): boolean {
  return existsSync(`/run/sluice/${createHash("sha256").update(mountpoint).digest("hex").slice(0, 16)}`);
}

interface Left {
  descriptors: string[];
  decisionServices: number;
  runDirectory: boolean;
}

function leftOf(host: HostService, mountpoint = ""): Left {
  // Sockets and pipes have numbers of their own each time. The file that the test reads stays registered for a moment.
  const targets = host.descriptors().filter((target) => target !== "/word");
  const kinds = targets.map((target) => target.replace(/\[\d+\]/, ""));
  return { descriptors: kinds.sort(), decisionServices: host.children().length, runDirectory: hasRunDirectory(mountpoint) };
}

const AMPLE_MS = 60_000;
/** In which the connections of ended commands close. */
const QUIET_MS = 500;

/** The descriptors of `now` that `before` lacks. */
function added(before: readonly string[], now: readonly string[]): string[] {
  const rest = [...before];
  return now.filter((target) => {
    const at = rest.indexOf(target);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** The connection of a command that has just ended, or its decision service, may still be there, now and in `before`: less is as good. */
async function untilLeft(before: Left, mountpoint = ""): Promise<void> {
  const more = (): Left => {
    const now = leftOf(host, mountpoint);
    const services = Math.max(0, now.decisionServices - before.decisionServices);
    return { ...now, descriptors: added(before.descriptors, now.descriptors), decisionServices: services };
  };
  const wanted = { ...before, descriptors: [], decisionServices: 0 };
  // The comparison below shows a difference better.
  await eventually("nothing more is left", AMPLE_MS, () => JSON.stringify(more()) === JSON.stringify(wanted)).catch(() => undefined);
  expect(more()).toEqual(wanted);
}

/** The log of a mount in a process of its own is on standard error, too. */
function withoutLog(text: string): string {
  return text.replace(/^\{.*\n/gm, "");
}

let host: HostService;
let other: SluiceMount;
let actor: Actor;
/** Before the first attempt. */
let start: Left;

/** A service with a mount, after a first failure: it has opened whatever the process opens once. */
beforeAll(async () => {
  if (!machineHas("/dev/fuse") || !machineHas("CAP_SYS_ADMIN")) return;
  host = await startHostService();
  const { lower } = layers({ lower: { word: "other" } });
  other = await mountSluice({ lowers: [lower], policy: policyOf("grant"), args: host.args });
  actor = await Actor.start();
  const made = place();
  writeFileSync(made.policy, "version: 1\ndefault: nothing\n");
  await runSluice(["mount", ...host.args, ...writable(made, "--policy", made.policy, "--log-level", "silent")]);
  await sleep(QUIET_MS);
  start = leftOf(host);
});

describe("a mount is refused as by a process of its own, and leaves nothing behind:", () => {
  for (const [wrong, argsOf] of Object.entries(ATTEMPTS)) {
    test(wrong, async () => {
      const made = place();
      const args = await argsOf(made, other);
      const inService = await runSluice(["mount", ...host.args, ...args]);
      await untilLeft(start, made.mountpoint);
      expect(mountsBelow(bytes(made.mountpoint))).toEqual([]);
      const alone = await runSluice(["mount", ...args]);
      expect(inService).toMatchObject({ code: alone.code, stderr: withoutLog(alone.stderr), stdout: "" });
      expect(alone.code).not.toBe(0);
      expect(await actor.do("contents", other.path("word"))).toBe("other");
    });
  }

  test("layers that another mount has", async () => {
    const [made, second] = [place(), place()];
    const holder = await mountSluice({ lowers: [made.lower], upper: made.upper, work: made.work, args: host.args });
    const before = leftOf(host);
    const refused = await runSluice(["mount", ...host.args, ...writable({ ...made, mountpoint: second.mountpoint })]);
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("in use by another mount (EBUSY)") as string });
    await untilLeft(before);
    await holder.stop();
  });
});

describe("mounts that come and go", () => {
  test(
    "leave no descriptor and no process, ten of them, twice",
    async () => {
      const before = leftOf(host);
      for (let round = 0; round < 2; round++) {
        const makings = Array.from({ length: 10 }, (_, at) => {
          const { lower, upper } = layers({ lower: { word: String(at) } });
          return mountSluice({ lowers: [lower], upper, args: host.args, ...(at % 3 === 0 ? { policy: policyOf("grant") } : {}) });
        });
        const mounts = await Promise.all(makings);
        for (const [at, mount] of mounts.entries()) {
          expect(await actor.do("contents", mount.path("word"))).toBe(String(at));
          expect(await actor.do("mkdir", mount.path("made"))).toBe(0);
        }
        await Promise.all(mounts.map((mount) => mount.stop()));
        await untilLeft(before);
      }
    },
    4 * AMPLE_MS,
  );
});

test("a service that hangs costs its next client seconds and a clear error, and has no mount of it afterwards", async () => {
  const host = await startHostService();
  const made = place();
  cleanUp(() => void process.kill(host.pid, "SIGCONT"));
  process.kill(host.pid, "SIGSTOP");
  const { code, stderr } = await runSluice(["mount", ...host.args, "--background", ...writable(made)]);
  const complaint = /^sluice: .*: the host service has not answered for \d+ s: restart it, or use --host-service off$/m;
  expect([code, stderr]).toEqual([1, expect.stringMatching(complaint)]);
  process.kill(host.pid, "SIGCONT");
  // The service reads the request that nobody waits for, and the end of its connection, before this one.
  await mountSluice({ lowers: [made.lower], args: [...host.args] });
  await eventually("nothing is mounted there", 30_000, () => mountsBelow(bytes(made.mountpoint)).length === 0);
});
