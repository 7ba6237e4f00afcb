/** Another server takes a mount over without a kill, and who works in it notices nothing; one that cannot serve is sent back. */
import { connect } from "node:net";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { file, mountSluice, plant, requires, scratch, type SluiceMount, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

/** Works until it is told to stop: names, content, an open file, and says what went wrong. */
const LOAD = `
import { closeSync, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
process.chdir(process.argv[1]);
const held = openSync("f", "r");
const log = openSync("log", "a+");
let rounds = 0;
const round = () => {
  rounds++;
  writeFileSync("a", String(rounds));
  renameSync("a", "b");
  if (readFileSync("b", "utf8") !== String(rounds)) throw new Error("b is not what was written");
  rmSync("b");
  writeSync(log, rounds + "\\n");
  const text = Buffer.alloc(5);
  readSync(held, text, 0, 5, 0);
  if (text.toString() !== "lower") throw new Error("the open file reads otherwise");
};
process.stdin.once("data", () => {
  const lines = readFileSync("log", "utf8").trim().split("\\n").map(Number);
  const whole = lines.length === rounds && lines.every((line, at) => line === at + 1);
  console.log(JSON.stringify({ whole, rounds }));
  process.exit(0);
});
console.log("works");
setInterval(round, 1);
`;

async function serverPid(mount: SluiceMount): Promise<number> {
  return ((await mount.status()) as { pid: number }).pid;
}

function keeperSocket(mount: SluiceMount): string {
  return join("/run/sluice", createHash("sha256").update(mount.mountpoint).digest("hex").slice(0, 16), "keeper.sock");
}

function askKeeper(mount: SluiceMount, request: unknown): Promise<string> {
  const socket = connect(keeperSocket(mount));
  return new Promise((resolve, reject) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", reject).on("end", () => resolve(text));
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

test("no upgrade is asked for by what a server has started", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), {})], args: ["--keeper", "on"], policy: "version: 1\ndefault: grant\n" });
  const before = await serverPid(mount);
  const addon = fileURLToPath(new URL("../../../packages/native/build/sluice_native.node", import.meta.url));
  const asker = (confined: boolean): string => `
    import { createRequire } from "node:module";
    import { connect } from "node:net";
    const native = createRequire(${JSON.stringify(addon)})(${JSON.stringify(addon)});
    if (${confined}) { native.setNoNewPrivileges(); if (native.forbidMounting() !== 0) throw new Error("no filter"); }
    const socket = connect(${JSON.stringify(keeperSocket(mount))});
    socket.on("error", () => undefined).on("data", (text) => process.stdout.write(text)).on("close", () => process.exit(0));
    socket.write('{"method":"exec"}\\n');`;
  expect((await startScript(asker(false), { timeoutMs: 20_000 }).finished).stdout).toContain("unknown request");
  expect((await startScript(asker(true), { timeoutMs: 20_000 }).finished).stdout).toBe("");
  expect(await serverPid(mount)).toBe(before);
  expect((await mount.stop()).code).toBe(0);
});

test("an upgrade under load: by command, by SIGHUP, and to a program that does not serve", async () => {
  const mount = await mountSluice({
    lowers: [plant(scratch(), { f: file("lower") })],
    upper: plant(scratch(), {}),
    args: ["--keeper", "on"],
    policy: "version: 1\ndefault: grant\n",
  });
  const load = startScript(LOAD, { args: [mount.mountpoint], timeoutMs: 300_000 });
  await load.waitFor("works");
  const pids = [await serverPid(mount)];
  expect(await mount.cli("upgrade")).toMatchObject({ code: 0, stdout: `upgraded ${mount.mountpoint}\n`, stderr: "" });
  pids.push(await serverPid(mount));
  mount.signal("SIGHUP");
  await expect.poll(() => mount.log().match(/a new server has taken over/g)?.length, { timeout: 30_000 }).toBe(2);
  pids.push(await serverPid(mount));
  expect(await askKeeper(mount, { method: "upgrade", file: "/bin/false", argv: [] })).toContain(
    "the new server does not serve (exit code 1)",
  );
  await expect.poll(async () => (await mount.cli("status", "--json")).code, { timeout: 30_000 }).toBe(0);
  pids.push(await serverPid(mount));
  expect(new Set(pids).size).toBe(4);
  expect(((await mount.status()) as { keeper: { restarts: number } }).keeper.restarts).toBe(0);
  expect(await askKeeper(mount, { method: "exec", file: "/bin/true" })).toContain("unknown request");
  load.write("enough\n");
  const { stdout, stderr } = await load.finished;
  expect(stderr).toBe("");
  expect(JSON.parse(stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ whole: true });
  expect((await mount.stop()).code).toBe(0);
});

test("a mount without a keeper says so", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { f: file("lower") })], args: ["--keeper", "off"] });
  expect(await mount.cli("upgrade")).toMatchObject({ code: 4, stderr: expect.stringContaining("no keeper holds this mount") as string });
});
