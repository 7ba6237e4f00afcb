/**
 * A server is killed while one of its threads waits in the kernel: the thread drops a page (FUSE_NOTIFY_INVAL_INODE) and waits
 * for a read that the server itself should answer. That thread ends once the read is answered, so the keeper must not wait for it.
 */
import { once } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Actor, eventually, layers, mountSluice, publicFile, requires, scratch, type SluiceMount, within } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const AMPLE_MS = 60_000;
/** A command each time: without a pause it would take a processor from the mount. */
const STATUS_PAUSE_MS = 400;
const PAGE = 4096;
const policy = (effect: string): string => `version: 1\ndefault: mediate\nrules:\n  - { name: f, path: f, effect: ${effect} }\n`;

interface StuckServer {
  mount: SluiceMount;
  reader: Actor;
  /** Ends when the read is answered. */
  underWay: Promise<unknown>;
  /** Reads of layers wait, of any server, until this is called. */
  letRead(): void;
}

/** A mount whose server was killed while it dropped a page with a waiting read. */
async function killedServer(): Promise<StuckServer> {
  const hold = join(scratch(), "hold");
  const plant = fileURLToPath(new URL("../../passthrough/harness/hold-reads.mjs", import.meta.url));
  const { lower, upper } = layers({ upper: { f: publicFile("x".repeat(PAGE)) } });
  const env = { NODE_OPTIONS: `--import=${plant}`, SLUICE_HOLD_READS: hold };
  const mount = await mountSluice({ lowers: [lower], upper, policy: policy("mediate"), args: ["--keeper", "on"], env });
  const reader = await Actor.start();
  const fd = await reader.do("open", mount.path("f"), O.RDONLY);
  writeFileSync(hold, "");
  const underWay = reader.do("read", fd, PAGE, 0);
  await eventually("the read is held", AMPLE_MS, () => existsSync(`${hold}.held`));
  writeFileSync(mount.policyFile as string, policy("deny"));
  await eventually("the page is being dropped", AMPLE_MS, async () => {
    const { revocation } = (await mount.status()) as { revocation: { passing: number } };
    return revocation.passing === 1;
  });
  mount.signalServer("SIGKILL");
  return { mount, reader, underWay, letRead: () => rmSync(hold) };
}

test("a server that is killed while it drops a page with a waiting read is replaced", async () => {
  const { mount, reader, underWay, letRead } = await killedServer();
  letRead();
  await within(AMPLE_MS, underWay);
  const other = await Actor.start();
  expect(await within(AMPLE_MS, other.do("stat", mount.path("f")))).toMatchObject({ size: String(PAGE) });
  await other.stop();
  await reader.stop();
  expect((await mount.stop()).code).toBe(0);
}, 300_000);

test("the next server takes the control socket of a dead one that still waits in the kernel", async () => {
  const { mount, reader, underWay, letRead } = await killedServer();
  await eventually("the next server serves", AMPLE_MS, () => mount.log().split('"msg":"mounted"').length > 2);
  letRead();
  await within(AMPLE_MS, underWay);
  expect(await mount.status()).toMatchObject({ mountpoint: mount.mountpoint });
  expect(mount.log()).not.toContain("EADDRINUSE");
  await reader.stop();
  expect((await mount.stop()).code).toBe(0);
}, 300_000);

test("the next server waits for the admin port of a dead one, and serves meanwhile", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo; // it listens on TCP
  const close = (): Promise<void> => new Promise((resolve) => holder.close(() => resolve()));
  await close();
  const { lower, upper } = layers({ lower: { f: publicFile("text") } });
  const mount = await mountSluice({ lowers: [lower], upper, args: ["--keeper", "on", "--admin", `127.0.0.1:${port}`] });
  // The keeper is stopped meanwhile: the next server would have the port first.
  mount.signal("SIGSTOP");
  mount.signalServer("SIGKILL");
  // In its place: a thread that waits in the kernel keeps a port as well.
  holder.on("error", () => undefined);
  await eventually("the port is held", AMPLE_MS, () => {
    if (!holder.listening) holder.listen(port, "127.0.0.1");
    return holder.listening;
  });
  mount.signal("SIGCONT");
  const other = await Actor.start();
  expect(await within(AMPLE_MS, other.do("stat", mount.path("f")))).toMatchObject({ size: "4" });
  // The control socket comes first. A server that gave up for the port would not answer for long. It waits 20 s for the port: fifty
  // commands took longer on a busy machine.
  for (const untilMs = performance.now() + 3_000; performance.now() < untilMs; await sleep(STATUS_PAUSE_MS))
    expect(await mount.status()).toMatchObject({ mountpoint: mount.mountpoint });
  await close();
  await eventually("the admin port answers", AMPLE_MS, async () => {
    const health = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    return health?.status === 200;
  });
  expect(mount.log()).not.toContain("EADDRINUSE");
  await other.stop();
  expect((await mount.stop()).code).toBe(0);
}, 300_000);
