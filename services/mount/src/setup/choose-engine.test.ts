import { Errno, FsError } from "@sluice/vfs";
import { expect, test } from "vitest";
import { ENGINES, engineNotice, limitsOf, startChosen } from "./choose-engine.js";

const refusing =
  (refusals: Record<string, number>) =>
  ({ name }: { name: string }): string => {
    const errno = refusals[name];
    if (errno !== undefined) throw new FsError(errno, `no ${name}`);
    return `started ${name}`;
  };

function choose(choice: "auto" | "devfuse" | "fuse-native", refusals: Record<string, number>): { name: string; told: string[] } {
  const told: string[] = [];
  const { kind } = startChosen(choice, refusing(refusals), (line) => void told.push(line));
  return { name: kind.name, told };
}

test("auto is devfuse, without a notice, if devfuse can run", () => {
  expect(choose("auto", {})).toEqual({ name: "devfuse", told: [] });
});

test("auto goes on to the portable engine where the machine refuses devfuse, and says why", () => {
  const { name, told } = choose("auto", { devfuse: Errno.EPERM });
  expect(name).toBe("fuse-native");
  expect(told).toEqual([expect.stringMatching(/fuse-native is used, as devfuse cannot run here: no devfuse \(EPERM\)/)]);
});

test("tries no other engine if the kernel refuses the mount itself", () => {
  expect(() => choose("auto", { devfuse: Errno.EBUSY })).toThrow("no devfuse");
});

test("throws the first refusal if both engines are refused", () => {
  expect(() => choose("auto", { devfuse: Errno.EPERM, "fuse-native": Errno.ENOSYS })).toThrow("no devfuse");
});

test("an engine that was named is the only one tried", () => {
  expect(() => choose("devfuse", { devfuse: Errno.EPERM })).toThrow("no devfuse");
  expect(choose("fuse-native", {}).name).toBe("fuse-native");
});

test("reports the missing capabilities of an engine at the mount and in the status", () => {
  expect(engineNotice(ENGINES.devfuse)).toBeUndefined();
  expect(engineNotice(ENGINES["fuse-native"])).toContain("no keeper and no upgrade with this engine");
  expect(Object.keys(limitsOf(ENGINES["fuse-native"]))).toContain("callerIdentity");
  expect(Object.keys(limitsOf(ENGINES.devfuse))).not.toContain("callerIdentity");
});
