/** The addresses of decision services: the forms of a target, and the addresses behind it at a given moment. */
import { basename, dirname, join } from "node:path";
import { DecisionError } from "@sluice/decision-api";

export type Target =
  | { kind: "unix"; path: string }
  /** Every socket of a directory whose name has this ending. */
  | { kind: "sockets"; directory: string; suffix: string }
  | { kind: "fixed"; address: string }
  | { kind: "dns"; host: string; port: number }
  | { kind: "list"; targets: readonly Target[] };

const HOST_PORT = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/\s]+)):(\d{1,5})$/;

/** A path with a host in front of it: gRPC would take `unix://run/x` for `/run/x`. */
const UNIX_OF_A_HOST = /^unix:\/\/[^/]/;

/** A comma before the start of another target: a socket's path may contain commas, too. */
const SEPARATOR = /,(?=unix:|dns:|[^,/]+:\d+(?:,|$))/;

/** `unix:///path`, `unix:///directory/*.sock` (every such socket), `unix:path`, `dns:///host:port` or `host:port`, or several with commas between. Throws `DecisionError` "unreachable". */
export function parseTarget(text: string): Target {
  const several = text.split(SEPARATOR);
  if (several.length > 1) return { kind: "list", targets: several.map(parseTarget) };
  if (text.startsWith("unix:") && !UNIX_OF_A_HOST.test(text)) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (basename(path).startsWith("*")) return { kind: "sockets", directory: dirname(path), suffix: basename(path).slice(1) };
    if (path !== "") return { kind: "unix", path };
  }
  const match = HOST_PORT.exec(text.replace(/^dns:(\/\/\/)?/, ""));
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port === 0 || port > 65_535) {
    throw new DecisionError("unreachable", `'${text}' is not a target: write unix:///PATH, HOST:PORT or dns:///HOST:PORT`);
  }
  // A mount with a policy of its own has no address: Node takes two milliseconds to load the module.
  return process.getBuiltinModule("node:net").isIP(host) === 0
    ? { kind: "dns", host, port }
    : { kind: "fixed", address: hostPort(host, port) };
}

function hostPort(host: string, port: number): string {
  return process.getBuiltinModule("node:net").isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

export interface Resolved {
  /** Of every replica, as grpc-js dials them. */
  addresses: readonly string[];
  /** The reasons why parts of the target cannot be resolved now. They say nothing about the replicas there. */
  problems: readonly string[];
}

/** Of a list, each target by itself: a name that cannot be resolved keeps nobody from the others. */
export async function resolveTarget(target: Target): Promise<Resolved> {
  if (target.kind === "list") {
    const parts = await Promise.all(target.targets.map(resolveTarget));
    return {
      addresses: [...new Set(parts.flatMap(({ addresses }) => addresses))],
      problems: parts.flatMap(({ problems }) => problems),
    };
  }
  try {
    return { addresses: await addressesOf(target), problems: [] };
  } catch (error) {
    return { addresses: [], problems: [(error as Error).message] };
  }
}

async function addressesOf(target: Exclude<Target, { kind: "list" }>): Promise<string[]> {
  switch (target.kind) {
    case "unix":
      return [`unix:${target.path}`];
    case "sockets": {
      const { directory, suffix } = target;
      // Few targets are directories, and a command that waits for its mount loads this module.
      const { readdir } = await import("node:fs/promises");
      const found = await readdir(directory, { withFileTypes: true });
      return found.filter((entry) => entry.isSocket() && entry.name.endsWith(suffix)).map(({ name }) => `unix:${join(directory, name)}`);
    }
    case "fixed":
      return [target.address];
    case "dns": {
      // Only such a target needs it.
      const { lookup } = await import("node:dns/promises");
      const found = await lookup(target.host, { all: true });
      return [...new Set(found.map(({ address }) => hostPort(address, target.port)))];
    }
  }
}
