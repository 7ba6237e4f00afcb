/**
 * Mounts the mirror for one test, and runs its users in other processes: this process serves, so it must never wait for itself.
 */
import { type Engine, startEngine } from "@sluice/engine-devfuse";
import type { Filesystem, KernelPort, RequestedTransport } from "@sluice/vfs";
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { MirrorFilesystem } from "./mirror-filesystem.js";

const run = promisify(execFile);

export class MountedMirror {
  readonly scratch = mkdtempSync(join(process.env["SLUICE_TEST_ROOT"] ?? tmpdir(), "sluice-engine-"));
  readonly backing = join(this.scratch, "backing");
  readonly mountpoint = join(this.scratch, "mount point");
  readonly anomalies: unknown[] = [];
  readonly counts = new Map<string, number>();
  readonly engine: Engine;
  readonly mirror: MirrorFilesystem;

  constructor(maxStackDepth: 0 | 1 | 2 = 1, transport = (process.env["SLUICE_TRANSPORT"] ?? "auto") as RequestedTransport) {
    mkdirSync(this.backing);
    mkdirSync(this.mountpoint);
    const options = {
      mountpoint: this.mountpoint,
      source: "mirror",
      subtype: "mirror",
      flags: 0,
      allowOther: true,
      maxStackDepth,
      maxWriteBytes: 1048576,
      transport,
    };
    let mirror: MirrorFilesystem | undefined;
    const make = (port: KernelPort): Filesystem => {
      mirror = new MirrorFilesystem(this.backing, port);
      return mirror.filesystem();
    };
    try {
      this.engine = startEngine(options, make, {
        request: (operation) => this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1),
        anomaly: (message, detail) => this.anomalies.push([message, detail]),
      });
    } catch (error) {
      // Objects that were never created are not disposed of.
      rmSync(this.scratch, { recursive: true, force: true });
      throw error;
    }
    this.mirror = mirror as unknown as MirrorFilesystem;
  }

  /**
   * Runs a shell script in the mount; returns its standard output. The shell itself changes to the mount: with `cwd`, node
   * would wait for the child's chdir on the thread that has to answer it.
   */
  async sh(script: string): Promise<string> {
    const argv = ["-ec", `cd "$1"\n${script}`, "sh", this.mountpoint];
    const { stdout } = await run("/bin/sh", argv, { encoding: "latin1", timeout: 60_000 });
    return stdout;
  }

  /** Runs a module's text in a node process of its own, with the mount point as argument; returns its standard output. */
  async node(script: string): Promise<string> {
    const argv = ["--input-type=module", "-e", script, this.mountpoint];
    const { stdout } = await run(process.execPath, argv, { cwd: import.meta.dirname, timeout: 60_000 });
    return stdout;
  }

  /** Starts a process that opens `name` for reading and ends. */
  opener(name: string): ReturnType<typeof spawn> {
    return spawn("/bin/cat", [join(this.mountpoint, name)], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** In a script: waits until the test calls `tell`, without a call into the mount. */
  get untilTold(): string {
    return `until [ -e '${join(this.scratch, "told")}' ]; do sleep 0.05; done`;
  }

  tell(): void {
    writeFileSync(join(this.scratch, "told"), "");
  }

  async until(condition: () => boolean, ms = 30_000): Promise<void> {
    const deadline = Date.now() + ms;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error("what was waited for did not come");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Unmounts lazily and waits for the end, also after a failure. */
  async dispose(): Promise<void> {
    this.mirror.release();
    await this.engine.unmount(true);
    await this.engine.ended;
    rmSync(this.scratch, { recursive: true, force: true });
  }
}
