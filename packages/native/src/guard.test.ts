import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { errno } from "../test/scratch.js";
import { native } from "./index.js";

const SIGKILL = 9;
const addon = fileURLToPath(new URL("../build/sluice_native.node", import.meta.url));
const load = `const native = require(${JSON.stringify(addon)});`;

function run(script: string): unknown {
  return JSON.parse(execFileSync(process.execPath, ["-e", load + script], { encoding: "utf8", timeout: 20_000 }));
}

it("gives up mounting, namespaces and tracing in every thread and child, and keeps what a server needs", () => {
  const answers = run(`
    const { Worker } = require("worker_threads");
    const cp = require("child_process");
    native.setNoNewPrivileges();
    const early = new Worker(\`const native = require(${JSON.stringify(addon)}); const { parentPort } = require("worker_threads");
      parentPort.once("message", () => parentPort.postMessage(native.umount2("/nowhere", 0)));\`, { eval: true });
    early.once("online", () => {
      const installed = native.forbidMounting();
      early.once("message", (inWorker) => {
        const child = cp.spawnSync("unshare", ["-U", "true"]);
        console.log(JSON.stringify({ installed, inWorker,
          mount: native.mount("none", "/nowhere", "tmpfs", 0, ""),
          clone: native.openTree(-100, "/", 1),
          unshare: child.status !== 0,
          spawns: cp.spawnSync("true").status,
          open: native.openat(-100, "/", 0, 0) > 2 }));
        process.exit(0);
      });
      early.postMessage("now");
    });`);
  expect(answers).toEqual({
    installed: 0,
    inWorker: -errno.EPERM,
    mount: -errno.EPERM,
    clone: -errno.EPERM,
    unshare: true,
    spawns: 0,
    open: true,
  });
});

it("says that it could not shut itself in without the right to", () => {
  if (process.geteuid?.() !== 0) return;
  expect(run("native.becomeUser(65534, 65534); console.log(JSON.stringify(native.forbidMounting()))")).toBe(-13);
});

/** A parent that starts a grandchild of ours, which arms itself, does `extra`, and says its pid. */
async function family(extra: string): Promise<{ parent: ChildProcess; pidfd: number }> {
  const grandchild = `${load} const armed = native.dieWithParent(${SIGKILL}, process.ppid); ${extra}; console.log(process.pid + " " + armed); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, [
    "-e",
    `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(grandchild)}], { stdio: "inherit" }); setInterval(() => {}, 1000)`,
  ]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const [pid, armed] = line.toString().trim().split(" ");
  expect(armed).toBe("0");
  const pidfd = native.pidfdOpen(Number(pid));
  expect(pidfd).toBeGreaterThan(2);
  return { parent, pidfd };
}

it.each([
  ["idle", ""],
  ["having acted as a caller", "native.asCaller(65534, 65534, 0); native.asDaemon()"],
  ["with a busy loop", "setTimeout(() => { for (;;); }, 1)"],
  ["stopped", `setTimeout(() => process.kill(process.pid, "SIGSTOP"), 1)`],
])("does not outlive its parent: %s", async (_how, extra) => {
  const { parent, pidfd } = await family(extra);
  expect(native.pidfdAlive(pidfd)).toBe(0);
  parent.kill("SIGKILL");
  while (native.pidfdAlive(pidfd) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(native.pidfdAlive(pidfd)).toBe(-errno.ESRCH);
  native.close(pidfd);
});

it("does not take somebody else for its parent", () => {
  expect(native.dieWithParent(SIGKILL, 1 === process.ppid ? process.pid : 1)).toBe(-errno.ESRCH);
  expect(readFileSync("/proc/self/status", "utf8")).not.toContain("parent-watch");
});
