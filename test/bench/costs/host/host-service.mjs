// A host service to measure: its start, its mounts, and the memory of its processes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/host-api";

export const CLI = fileURLToPath(new URL("../../../../packages/cli/bin/sluice.cjs", import.meta.url));
const POLICY = "version: 1\ndefault: grant\nrules:\n  - { name: no-keys, path: '**/*.pem', effect: deny }\n";

/** @param {number} pid */
export function childrenOf(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);
}

/** @param {number} pid @returns {number[]} */
export const familyOf = (pid) => [pid, ...childrenOf(pid).flatMap(familyOf)];

/** KiB. @param {readonly number[]} pids */
export const pssOf = (pids) =>
  pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0), 0);

/** @param {number} pid */
export function hasDevice(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === "/dev/fuse");
  } catch {
    return false;
  }
}

export class HostService {
  /** @type {import("node:child_process").ChildProcess} */
  #process;
  /** @type {InstanceType<typeof wire.HostServiceClient>} */
  #client;
  #made = 0;

  /** @param {string} at @param {import("node:child_process").ChildProcess} process */
  constructor(at, process) {
    this.at = at;
    this.socket = join(at, "host.sock");
    this.#process = process;
    this.#client = new wire.HostServiceClient(`unix://${this.socket}`, credentials.createInsecure());
  }

  /** @param {string} at a directory of its own @param {"on" | "off"} keeper @param {readonly string[]} args */
  static async start(at, keeper, args = []) {
    const argv = [CLI, "serve", "--keeper", keeper, "--socket", join(at, "host.sock"), "--log-level", "error", ...args];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return new HostService(at, child);
  }

  get pid() {
    return this.#process.pid ?? 0;
  }

  /** All processes that serve together. */
  pss() {
    return pssOf(familyOf(this.pid));
  }

  /** The process of a service with a keeper that serves the mounts. */
  servingPid() {
    return childrenOf(this.pid).find(hasDevice);
  }

  /** `policy`: the name of its policy file, which is made. @param {{ policy?: string | undefined, options?: Record<string, string> }} [given] */
  async mount({ policy, options: others = {} } = {}) {
    const base = join(this.at, `mount-${this.#made++}`);
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(base, name), { recursive: true });
    for (const name of ["word", "other"]) writeFileSync(join(base, "lower", name), "word");
    const named = {
      lower: join(base, "lower"),
      upper: join(base, "upper"),
      work: join(base, "work"),
      "log-level": "error",
      ...others,
    };
    const options = Object.entries(named).map(([name, value]) => ({ name, values: [value] }));
    if (policy !== undefined) {
      const file = join(this.at, `${policy}.yaml`);
      // An edit would have the service load it again.
      if (!existsSync(file)) writeFileSync(file, POLICY);
      options.push({ name: "policy", values: [file] });
    }
    const mountpoint = join(base, "merged");
    const call = this.#client.mount();
    call.write({ message: { $case: "begin", value: { mountpoint, options, directory: "/", attached: false, mountNamespace: 0 } } });
    call.end();
    for await (const { message } of call) if (message?.$case === "ended") throw new Error(JSON.stringify(message.value));
    return mountpoint;
  }

  async end() {
    this.#client.close();
    this.#process.kill("SIGTERM");
    await once(this.#process, "exit");
  }
}
