/** A keeper that starts no servers, and servers that join it: as in two containers, without containers. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bytes, cleanUp, mountsBelow, type RunningScript, runScript, type ScriptOptions, scratch, startScript } from "@sluice/testkit";

const SLUICE = [process.execPath, fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url))];
const LIMIT_MS = 120_000;

export interface JoinedPlaces {
  lower: string;
  upper: string;
  work: string;
  mountpoint: string;
  /** The path of the keeper's socket. */
  socket: string;
}

export function joinedPlaces(lower: string): JoinedPlaces {
  const root = scratch();
  const [upper, work, mountpoint, socket] = ["upper", "work", "mnt", "socket"].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [upper, work, mountpoint]) mkdirSync(path);
  return { lower, upper, work, mountpoint, socket };
}

/** Resolves when the keeper listens. */
export async function startKeeper(places: JoinedPlaces, args: readonly string[] = []): Promise<RunningScript> {
  const { lower, upper, work, mountpoint, socket } = places;
  const layers = ["--lower", lower, "--upper", upper, "--work", work];
  const keeper = startScript([...SLUICE, "keeper", "--socket", socket, ...layers, ...args, mountpoint], { timeoutMs: LIMIT_MS });
  cleanUp(async () => {
    keeper.kill("SIGTERM");
    await keeper.finished;
    for (const entry of mountsBelow(bytes(mountpoint))) await runScript(["umount", "-l", entry.mountpoint]);
  });
  await keeper.waitFor("waiting for a server");
  return keeper;
}

/** A server that sees none of the layers: its mount namespace covers them with another mount. */
export function startServer({ lower, upper, work, socket }: JoinedPlaces, args: readonly string[] = []): RunningScript {
  const hide = [lower, upper, work].map((path) => `mount -t tmpfs none '${path}'`).join(" && ");
  const serve = [...SLUICE, "mount", "--keeper-socket", socket, ...args];
  return startScript(["unshare", "--mount", "sh", "-c", `${hide} && exec "$@"`, "sh", ...serve], { timeoutMs: LIMIT_MS });
}

/** Runs a server that is refused, to its end. */
export function tryToServe(socket: string, args: readonly string[], before: readonly string[] = [], options: ScriptOptions = {}) {
  return runScript([...before, ...SLUICE, "mount", "--keeper-socket", socket, ...args], options);
}
