/** Where decision services are: the forms of a target, and the addresses behind it at a given moment. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { DecisionError } from "@sluice/decision-api";

export type Target =
  | { kind: "unix"; path: string }
  | { kind: "fixed"; address: string }
  | { kind: "dns"; host: string; port: number }
  | { kind: "list"; targets: readonly Target[] };

const HOST_PORT = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/\s]+)):(\d{1,5})$/;

/** A comma before something that begins a target: a socket's path may hold commas, too. */
const SEPARATOR = /,(?=unix:|dns:|[^,/]+:\d+(?:,|$))/;

/** `unix:///path`, `unix:path`, `dns:///host:port` or `host:port`, or several with commas between. Throws `DecisionError` "unreachable". */
export function parseTarget(text: string): Target {
  const several = text.split(SEPARATOR);
  if (several.length > 1) return { kind: "list", targets: several.map(parseTarget) };
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (path !== "") return { kind: "unix", path };
  }
  const match = HOST_PORT.exec(text.replace(/^dns:(\/\/\/)?/, ""));
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port === 0 || port > 65_535) {
    throw new DecisionError("unreachable", `'${text}' is not a target: write unix:///PATH, HOST:PORT or dns:///HOST:PORT`);
  }
  return isIP(host) === 0 ? { kind: "dns", host, port } : { kind: "fixed", address: hostPort(host, port) };
}

function hostPort(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The addresses of every replica, as grpc-js dials them. Rejects where the name cannot be resolved. */
export async function resolveTarget(target: Target): Promise<string[]> {
  switch (target.kind) {
    case "unix":
      return [`unix:${target.path}`];
    case "fixed":
      return [target.address];
    case "dns": {
      const found = await lookup(target.host, { all: true });
      return [...new Set(found.map(({ address }) => hostPort(address, target.port)))];
    }
    case "list":
      return [...new Set((await Promise.all(target.targets.map(resolveTarget))).flat())];
  }
}
