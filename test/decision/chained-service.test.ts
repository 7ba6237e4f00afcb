/** A chain of which the first part is another decision service: a fact that is missing there sheds none of its obligations. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import { Actor, layers, mountSluice, publicFile, requires, scratch, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";
import { Replica } from "./harness/replicas.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const CONTENT = "approved\n";
const DIGEST = createHash("sha256").update(CONTENT).digest("hex");
const LIMIT = 64;

/** Rules of the other service about files with this content; it denies all others by default. */
async function chained(rule: string): Promise<SluiceMount> {
  const directory = scratch();
  const policy = join(directory, "other.yaml");
  writeFileSync(policy, `version: 1\ndefault: deny\nrules:\n  - { name: approved, when: "resource.digest == '${DIGEST}'", ${rule} }\n`);
  const { socket } = await Replica.start(directory, "other", policy);
  const here = "{ kind: rules, version: 1, default: deny, rules: [{ name: all, effect: grant }] }";
  const chain = join(directory, "chain.yaml");
  writeFileSync(chain, `kind: chain\npolicies: [{ kind: grpc, target: "unix://${socket}", timeout: 30s }, ${here}]\n`);
  const asked = await Replica.start(directory, "chain", chain);
  const { lower, upper } = layers({ lower: { file: publicFile(CONTENT) } });
  return mountSluice({ lowers: [lower], upper, args: ["--decision", `unix://${asked.socket}`] });
}

test("keeps the limit of a rule about the digest of a file that somebody has open for writing", async () => {
  const mount = await chained(`effect: mediate, obligations: { maxSizeBytes: ${LIMIT} }`);
  const actor = await Actor.start();
  const first = await actor.do("open", mount.path("file"), O.RDWR);
  expect(first).toBeGreaterThan(0);
  expect(await actor.do("write", first, "x", LIMIT)).toBe(-Errno.EFBIG);
  const second = await actor.do("open", mount.path("file"), O.RDWR);
  expect(second).toBeGreaterThan(0);
  expect(await actor.do("write", second, "x", LIMIT)).toBe(-Errno.EFBIG);
  await actor.do("close", first);
  await actor.do("close", second);
  expect((await mount.stop()).code).toBe(0);
});
