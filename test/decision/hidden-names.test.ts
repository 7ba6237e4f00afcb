/** Replicas hold different policies for a while, and a service may come after the mount: a name is hidden rather than shown. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, mountSluice, mountsShareProcess, plant, policyOf, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { Replica } from "./harness/replicas.js";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const hiding = (path: string): string => policyOf("grant", { name: "h", path, effect: "hide" });
const planted = (): string => plant(scratch(), { a: "a", b: "b", c: "c" });

function policyFile(text: string): string {
  const file = join(scratch(), "policy.yaml");
  writeFileSync(file, text);
  return file;
}

test("a name is hidden while one of two replicas hides it", async () => {
  const directory = scratch();
  const files = [policyFile(hiding("a")), policyFile(hiding("b"))] as const;
  const replicas = await Promise.all(files.map((file, at) => Replica.start(directory, `r${at}`, file)));
  const mount = await mountSluice({
    lowers: [planted()],
    args: ["--decision", replicas.map(({ socket }) => `unix://${socket}`).join(",")],
  });
  const shown = (): string => readdirSync(mount.mountpoint).sort().join(" ");
  await eventually("both are heard", 30_000, () => shown() === "c");
  writeFileSync(files[0], hiding("b"));
  await eventually("both hide the same", 30_000, () => shown() === "a c");
  writeFileSync(files[1], hiding("{a,b}"));
  await eventually("one hides more", 30_000, () => shown() === "c");
  await replicas[1]?.end("SIGTERM");
  await eventually("it is gone", 30_000, () => shown() === "a c");
  expect((await mount.stop()).code).toBe(0);
});

test("a mount that knows no policy yet shows no name, until a service comes", async () => {
  const socket = join(scratch(), "late.sock");
  const mount = await mountSluice({ lowers: [planted()], args: ["--decision", `unix://${socket}`] });
  expect(() => readdirSync(mount.mountpoint)).toThrow(expect.objectContaining({ code: "EAGAIN" }));
  await Replica.start(join(socket, ".."), "late", policyFile(hiding("a")));
  const shown = (): string => {
    try {
      return readdirSync(mount.mountpoint).sort().join(" ");
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
  await eventually("the service is heard", 30_000, () => shown() !== "EAGAIN");
  expect(shown()).toBe("b c");
  expect((await mount.stop()).code).toBe(0);
});
