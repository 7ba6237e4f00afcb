/**
 * Checks whether passthrough works, by asking the kernel: it registers a real file with a temporary mount in a private directory. A
 * configuration file or a version number would only be a guess.
 */
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, lacking } from "@sluice/runtime/cli";
import { type Engine, startEngine } from "@sluice/engine-devfuse";
import { Errno, errnoName, type Filesystem, type Negotiated } from "@sluice/vfs";
import { toBytes } from "@sluice/native";

export interface PassthroughProbe {
  negotiated: Negotiated;
  /** Registers the file as a backing file. @returns undefined if that works, otherwise the name of the errno */
  register(path: string): string | undefined;
}

const READY_MS = 5_000;

/** A filesystem without files: it refuses every request. */
const emptyFilesystem = new Proxy({} as Filesystem, {
  get: (_target, name) => (name === "forget" || name === "destroy" ? () => undefined : () => Errno.ENOSYS),
});

function register(engine: Engine, path: string): string | undefined {
  const fd = openSync(path, "r");
  try {
    const id = engine.port.openBacking(fd);
    if (id < 0) return errnoName(-id);
    engine.port.closeBacking(id);
    return undefined;
  } finally {
    closeSync(fd);
  }
}

async function takeDown(engine: Engine): Promise<void> {
  if ((await engine.unmount(true)) !== 0) engine.abort();
  await Promise.race([engine.ended, sleep(READY_MS, undefined, { ref: false })]);
}

/** @throws CliError */
function temporaryDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), "sluice-doctor-"));
  } catch (error) {
    throw lacking(tmpdir(), `no temporary directory can be made there (${codeOf(error)})`, "set TMPDIR to a directory that you can write");
  }
}

/** The mount is gone when it returns. @throws if the mount itself does not work */
export async function withProbe<T>(maxStackDepth: 1 | 2, use: (probe: PassthroughProbe) => T): Promise<T> {
  const directory = temporaryDirectory();
  try {
    const engine = startEngine(
      {
        mountpoint: toBytes(directory),
        source: "sluice-doctor",
        subtype: "sluice",
        flags: 0,
        allowOther: false,
        maxStackDepth,
        maxWriteBytes: 1 << 17,
      },
      () => emptyFilesystem,
      { request: () => undefined, anomaly: () => undefined },
    );
    try {
      const negotiated = await Promise.race([engine.ready, sleep(READY_MS, undefined, { ref: false })]);
      if (negotiated === undefined) throw new Error("the kernel did not shake hands");
      return use({ negotiated, register: (path) => register(engine, path) });
    } finally {
      await takeDown(engine);
    }
  } finally {
    rmdirSync(directory);
  }
}

/** A regular file on the file system that holds temporary files. */
export function withTemporaryFile<T>(use: (path: string) => T): T {
  const directory = temporaryDirectory();
  try {
    const path = join(directory, "backing");
    writeFileSync(path, "backing");
    return use(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
