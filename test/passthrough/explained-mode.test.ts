/** `sluice explain` names the I/O mode of the next open, whatever opens the file has: both run the same plan. */
import { connect } from "node:net";
import { join } from "node:path";
import { Actor, grantsOf, layers, mountSluice, mountsShareProcess, publicFile, requires, scratch } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

const UIDS = { grant: 0, mediate: 2001, observe: 2002 } as const;
const MODES = ["grant", "mediate", "observe"] as const;
const policy = `
version: 1
default: grant
rules:
  - { name: mediated, subject: { uid: [${UIDS.mediate}] }, effect: mediate }
  - { name: observed, subject: { uid: [${UIDS.observe}] }, effect: mediate, obligations: { audit: each-io } }
`;

interface Opened {
  flow: string;
  because: string | null;
  copiesUp: boolean;
}

function explained(socket: string, request: object): Promise<Opened> {
  return new Promise((resolve, reject) => {
    let text = "";
    const control = connect(socket, () => void control.write(`${JSON.stringify({ method: "explain", gid: 0, groups: [], ...request })}\n`));
    control.on("error", reject);
    control.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    control.on("end", () => {
      const line = JSON.parse(text.split("\n")[0] as string) as { item?: { opened: Opened }; error?: string };
      if (line.item === undefined) reject(new Error(line.error));
      else resolve(line.item.opened);
    });
  });
}

/** One file for each state that the next open can meet, and each kind of next open. */
const cells = ["nothing", ...MODES].flatMap((held) =>
  MODES.flatMap((requested) => [false, true].map((write) => ({ held, requested, write, name: `${held}-${requested}-${write}` }))),
);

for (const args of [[], ["--coherent-readers"]])
  test(`explain names the I/O mode and the copy-up of the next open (${args.join(" ") || "by default"})`, async () => {
    const { lower, upper } = layers({ lower: Object.fromEntries(cells.map(({ name }) => [name, publicFile("content")])) });
    const socket = join(scratch(), "c.sock");
    const mount = await mountSluice({ lowers: [lower], upper, policy, args: ["--control", socket, ...args] });
    const cast = { grant: await Actor.start(), mediate: await Actor.start(UIDS.mediate), observe: await Actor.start(UIDS.observe) };
    const said: Record<string, Opened> = {};
    for (const { held, requested, write, name } of cells) {
      if (held !== "nothing") expect(await cast[held as keyof typeof cast].do("open", mount.path(name), O.RDONLY)).toBeGreaterThan(0);
      said[name] = await explained(socket, { path: name, accesses: write ? ["read", "write"] : ["read"], uid: UIDS[requested] });
      expect(await cast[requested].do("open", mount.path(name), write ? O.RDWR : O.RDONLY), name).toBeGreaterThan(0);
    }
    const got: Record<string, Opened> = {};
    for (const { path, mode, fallback, layer } of await grantsOf(mount))
      got[path] = { flow: mode, because: fallback, copiesUp: layer === "upper" };
    expect(said).toEqual(got);
    for (const actor of Object.values(cast)) await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  });
