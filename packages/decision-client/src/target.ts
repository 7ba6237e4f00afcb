/** Where decision services are: the forms of a target, and the addresses behind it at a given moment. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { DecisionError } from "@sluice/decision-api";

export type Target = { kind: "unix"; path: string } | { kind: "fixed"; address: string } | { kind: "dns"; host: string; port: number };

const HOST_PORT = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/\s]+)):(\d{1,5})$/;

/** `unix:///path`, `unix:path`, `dns:///host:port` or `host:port`. Throws `DecisionError` "unreachable". */
export function parseTarget(text: string): Target {
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
  }
}
