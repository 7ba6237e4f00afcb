/** The policy of servers that join a keeper: an edit with a mistake changes nothing, whichever server comes next. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { file, plant, policyOf, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { joinedPlaces, startKeeper, startServer } from "./joined-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare");

const POLICY = policyOf("grant", { name: "secret", path: "secret", effect: "deny" });
const LIMIT_MS = 120_000;

test("the next server keeps to the policy from before an edit with a mistake", keepsPolicy, LIMIT_MS);

async function keepsPolicy(): Promise<void> {
  const places = joinedPlaces(plant(scratch(), { open: file("open"), secret: file("secret") }));
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, POLICY);
  const keeper = await startKeeper(places);
  const server = () => startServer(places, ["--policy", policy]);
  const first = server();
  await first.waitFor("mounted ");
  const read = (name: string): string => readFileSync(join(places.mountpoint, name), "utf8");
  expect(() => read("secret")).toThrow("EACCES");
  writeFileSync(policy, "version: 1\ndefault: grnt\n");
  expect(read("open")).toBe("open");
  let last = first;
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    last.kill(signal);
    await last.finished;
    last = server();
    await last.waitFor("took over ");
    expect(read("open")).toBe("open");
    expect(() => read("secret")).toThrow("EACCES");
  }
  keeper.kill("SIGTERM");
  expect((await keeper.finished).code).toBe(0);
  await last.finished;
}
