/** The policy hides other names while no server is there: the next one drops what the kernel cached under the server before. */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Actor, eventually, layers, policyOf, requires } from "@sluice/testkit";
import { expect } from "vitest";
import { KilledDecision } from "./killed-decision.js";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const HIDING = policyOf("grant", { name: "secrets", path: ["**/.env", "secrets"], effect: "hide" });
const SHOWING = policyOf("grant");
const SHOWN = [".env", "main"];
/** A server that starts waits 3 s for a decision service elsewhere. */
const BEYOND_START_MS = 4_500;

for (const [was, is, before, after] of [
  ["shows", SHOWING, SHOWN, ["main"]],
  ["hides", HIDING, ["main"], SHOWN],
] as const) {
  test(`a server that takes over applies an edit of a policy that ${was} names`, async () => {
    const { lower, upper } = layers({ lower: { "app/.env": "key", "app/main": "code", "secrets/inner/key": "key" }, upper: {} });
    const supervised = await mountSupervised({ lower, upper, policy: is });
    const { mount } = supervised;
    const list = (): string[] => readdirSync(mount.path("app")).sort();
    expect(list()).toEqual(before);
    expect(list()).toEqual(before);
    statSync(mount.path("app"));
    if (is === SHOWING) statSync(mount.path("secrets/inner/key"));
    const served = supervised.served;
    // The server is stopped first, so that it sees nothing of the edit.
    mount.signalServer("SIGSTOP");
    writeFileSync(mount.policyFile as string, is === SHOWING ? HIDING : SHOWING);
    supervised.killServer();
    await eventually("another server serves", 30_000, () => supervised.served > served);
    await eventually("the edit holds", 30_000, () => list().join() === after.join());
    for (const path of ["secrets/inner/key", "app/.env"])
      await eventually(`${path} is as the edit says`, 30_000, () => existsSync(mount.path(path)) === (is === HIDING));
    expect((await mount.stop()).code).toBe(0);
  }, 120_000);
}

test("names wait for a decision service elsewhere that is back after a while, as opens do", async () => {
  const decision = await KilledDecision.start(HIDING);
  try {
    const { lower, upper } = layers({ lower: { "app/.env": "key", "app/main": "code" }, upper: {} });
    const supervised = await mountSupervised({ lower, upper, args: ["--decision", decision.target, "--decision-timeout", "60s"] });
    const { served, mount } = supervised;
    decision.signal("SIGSTOP");
    expect(supervised.killServer()).toBe(true);
    const actors = [await Actor.start(), await Actor.start()] as const;
    const read = actors[0].do<unknown>("contents", mount.path("app/main"));
    const listed = actors[1].do<unknown>("readdir", mount.path("app"));
    await eventually("another server serves", 60_000, () => supervised.served > served);
    await sleep(BEYOND_START_MS);
    decision.signal("SIGCONT");
    expect(await read).toBe("code");
    expect(await listed).toEqual(["main"]);
    for (const actor of actors) await actor.stop();
    expect((await mount.stop()).code).toBe(0);
  } finally {
    decision.stop();
  }
}, 180_000);
