/**
 * Without an index of hard links, each copy of a lower object with several names is an object of its own. Two of them with one inode number
 * are one file to cp(1), mv(1) and diff(1).
 */
import { appendFileSync, chmodSync, linkSync, lstatSync, renameSync } from "node:fs";
import { join } from "node:path";
import {
  eventually,
  file,
  hardLink,
  layers,
  mountKernelOverlay,
  mountSluice,
  requires,
  runScript,
  scratch,
  symlink,
} from "@sluice/testkit";
import { expect } from "vitest";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command mkfifo");

const OPTIONS = "index=off";

function numbersOf(at: (name: string) => string, names: readonly string[]): bigint[] {
  return names.map((name) => lstatSync(at(name), { bigint: true }).ino);
}

test("parted copies of a file have numbers of their own under the next server", async () => {
  const tree = { a: file("same"), b: hardLink("a"), c: hardLink("a"), d: hardLink("a") };
  const { lower, upper } = layers({ lower: tree });
  const supervised = await mountSupervised({ lower, upper, args: ["-o", OPTIONS] });
  const at = (name: string): string => supervised.mount.path(name);
  renameSync(at("a"), at("moved"));
  appendFileSync(at("b"), "!");
  chmodSync(at("c"), 0o600);
  const { served } = supervised;
  expect(supervised.killServer()).toBe(true);
  await eventually("another server serves", 60_000, () => supervised.served > served);
  // Not before: the kernel would remember the numbers.
  const copies = numbersOf((name) => join(upper, name), ["moved", "b", "c"]);
  expect(numbersOf(at, ["moved", "b", "c", "d"])).toEqual([...copies, lstatSync(join(lower, "d"), { bigint: true }).ino]);
  expect((await supervised.mount.stop()).code).toBe(0);
}, 180_000);

/** Symbolic links and FIFOs of two names each, of which the first is copied up: whether both names have one number. */
async function areOne(lower: string, mount: (lower: string) => Promise<string>): Promise<boolean[]> {
  const mountpoint = await mount(lower);
  const at = (name: string): string => join(mountpoint, name);
  numbersOf(at, ["link", "link-too", "fifo", "fifo-too"]);
  renameSync(at("link"), at("link-moved"));
  chmodSync(at("fifo"), 0o600);
  const [link, linkToo, fifo, fifoToo] = numbersOf(at, ["link-moved", "link-too", "fifo", "fifo-too"]);
  return [link === linkToo, fifo === fifoToo];
}

test("parted copies of symbolic links and FIFOs have numbers of their own, as with kernel overlayfs", async () => {
  const { lower } = layers({ lower: { link: symlink("to") } });
  expect((await runScript(["mkfifo", join(lower, "fifo")])).code).toBe(0);
  for (const name of ["link", "fifo"]) linkSync(join(lower, name), join(lower, `${name}-too`));
  const kernel = await areOne(lower, async () =>
    mountKernelOverlay({ lowers: [lower], upper: scratch(), work: scratch(), options: OPTIONS }),
  );
  const sluice = await areOne(lower, async () => {
    const mount = await mountSluice({ lowers: [lower], upper: scratch(), args: ["-o", OPTIONS] });
    return mount.mountpoint;
  });
  expect({ kernel, sluice }).toEqual({ kernel: [false, false], sluice: [false, false] });
});
