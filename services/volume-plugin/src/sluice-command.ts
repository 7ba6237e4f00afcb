/** A mount as the `sluice` command makes it in the background: it outlives the plugin. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { VolumeError, type VolumePaths } from "./volume-options.js";

const READY_MS = 30_000;
const ASK_MS = 10_000;
const UNMOUNT_MS = 30_000;
const TAIL_BYTES = 4_096;

/** How the `sluice` command is called: the program, and the arguments before the command's own. */
export type SluiceCommand = readonly [string, ...string[]];

interface Exit {
  code: number | null;
  output: string;
}

/** Runs a command to its end; one that does not end is killed. */
function run([program, ...before]: SluiceCommand, args: readonly string[], limitMs: number): Promise<Exit> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...before, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-TAIL_BYTES);
      });
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
    child.once("error", reject);
    // "close" comes after the last words, "exit" perhaps before.
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, output: output.trim() });
    });
  });
}

/** The last complaint of the command in its output after `fromByte`. */
function complaintIn(log: string, fromByte: number): string {
  const fd = openSync(log, "r");
  try {
    const length = Math.min(fstatSync(fd).size - fromByte, TAIL_BYTES);
    const tail = Buffer.alloc(Math.max(length, 0));
    readSync(fd, tail, 0, tail.length, fstatSync(fd).size - tail.length);
    const lines = tail.toString("utf8").split("\n");
    return lines.findLast((line) => line.startsWith("sluice: "))?.slice("sluice: ".length) ?? `it said nothing: see ${log}`;
  } finally {
    closeSync(fd);
  }
}

/** Resolves to undefined when requests are served, else to how it ended. */
function untilServing(child: ChildProcess): Promise<"ended" | "late" | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("late"), READY_MS);
    const finish = (outcome: "ended" | undefined): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    child.stdout?.on("data", (chunk: Buffer) => chunk.toString().startsWith("mounted ") && finish(undefined));
    child.once("error", () => finish("ended"));
    child.once("exit", () => finish("ended"));
  });
}

/** Does not access the directory if it exists: a dead mount may be on it. */
function makeDirectory(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** By the mount table: looking at the place itself may hang. */
export function isMounted(path: string): boolean {
  const escaped = path.replace(/[\\ \t\n]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const MOUNT_POINT = 4;
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[MOUNT_POINT] === escaped);
}

export class MountCommand {
  constructor(private readonly command: SluiceCommand) {}

  /** Whether something serves there. Asks the control socket: the file system itself may hang. */
  async serves(mountpoint: string): Promise<boolean> {
    return (await run(this.command, ["status", mountpoint, "--json"], ASK_MS)).code === 0;
  }

  /** Resolves when it serves. Rejects with `VolumeError`. */
  async mount(args: readonly string[], paths: VolumePaths): Promise<void> {
    makeDirectory(paths.mountpoint);
    const [program, ...before] = this.command;
    const log = openSync(paths.log, "a", 0o600);
    const fromByte = fstatSync(log).size;
    // A session of its own: a signal to the plugin is none to the mount.
    // A host service serves it beside others, if there is one.
    const env = { SLUICE_HOST_SERVICE: "auto", ...process.env };
    const child = spawn(program, [...before, ...args], { detached: true, stdio: ["ignore", "pipe", log], env });
    closeSync(log);
    const outcome = await untilServing(child);
    if (outcome === "late") child.kill("SIGTERM");
    if (outcome === "ended") throw new VolumeError(complaintIn(paths.log, fromByte));
    if (outcome === "late") throw new VolumeError(`the mount did not serve within ${READY_MS / 1000} s: see ${paths.log}`);
    // It has said what it says there.
    child.stdout?.destroy();
    child.unref();
  }

  /** Waits a while for its last users, and unmounts. Nothing there is no error. Rejects with `VolumeError`. */
  async unmount(mountpoint: string): Promise<void> {
    const { code, output } = await run(this.command, ["unmount", "--wait", "10s", mountpoint], UNMOUNT_MS);
    if (code !== 0 && !output.includes("nothing is mounted there")) {
      throw new VolumeError(output.replace(/^sluice: /, "") || `unmounting ${mountpoint} took more than ${UNMOUNT_MS / 1000} s`);
    }
  }
}
