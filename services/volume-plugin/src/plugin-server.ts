/** Docker's volume plugin protocol: JSON by POST over a unix socket, failures in `Err`. Transport only. */
import { chmodSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { CliError, EXIT, type Logger } from "@sluice/runtime";
import { makeDirectories, removeDeadSocket } from "@sluice/runtime/cli";
import { VolumeError } from "./volume-options.js";
import type { Volumes } from "./volumes.js";

const CONTENT_TYPE = "application/vnd.docker.plugins.v1.1+json";
const MAX_BODY_BYTES = 1 << 20;

interface Asked {
  Name: string;
  ID: string;
  Opts: Record<string, string>;
}
type Handler = (volumes: Volumes, asked: Asked) => object | Promise<object>;

const HANDLERS: Readonly<Record<string, Handler>> = {
  "/Plugin.Activate": () => ({ Implements: ["VolumeDriver"] }),
  "/VolumeDriver.Capabilities": () => ({ Capabilities: { Scope: "local" } }),
  "/VolumeDriver.Create": async (volumes, { Name, Opts }) => (await volumes.create(Name, Opts), {}),
  "/VolumeDriver.Remove": async (volumes, { Name }) => (await volumes.remove(Name), {}),
  "/VolumeDriver.Mount": async (volumes, { Name, ID }) => ({ Mountpoint: await volumes.mount(Name, ID) }),
  "/VolumeDriver.Unmount": async (volumes, { Name, ID }) => (await volumes.unmount(Name, ID), {}),
  "/VolumeDriver.Path": (volumes, { Name }) => ({ Mountpoint: volumes.get(Name).Mountpoint }),
  "/VolumeDriver.Get": (volumes, { Name }) => ({ Volume: volumes.get(Name) }),
  "/VolumeDriver.List": (volumes) => ({ Volumes: volumes.list() }),
};

async function bodyOf(request: IncomingMessage): Promise<Asked> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MAX_BODY_BYTES) throw new VolumeError("the request is too large");
  }
  const given = (text === "" ? {} : JSON.parse(text)) as Partial<Asked> | null;
  const options = Object.entries(given?.Opts ?? {}).map(([key, value]): [string, string] => [key, String(value)]);
  return { Name: String(given?.Name ?? ""), ID: String(given?.ID ?? ""), Opts: Object.fromEntries(options) };
}

async function answer(volumes: Volumes, request: IncomingMessage, log: Logger): Promise<[number, object]> {
  const handler = HANDLERS[request.url ?? ""];
  if (handler === undefined || request.method !== "POST") return [404, { Err: `${request.url}: no such call` }];
  try {
    return [200, await handler(volumes, await bodyOf(request))];
  } catch (error) {
    if (!(error instanceof VolumeError)) log.error({ err: error, call: request.url }, "a call failed");
    return [500, { Err: error instanceof Error ? error.message : String(error) }];
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
  });
}

export interface PluginServer {
  close(): Promise<void>;
}

/** Replaces the socket of a dead plugin. @throws CliError if the socket cannot be created */
export async function startPluginServer(path: string, volumes: Volumes, log: Logger): Promise<PluginServer> {
  const fail = (problem: string, errno: string | undefined, remedy: string): CliError =>
    new CliError({ object: `--socket ${path}`, problem, errno, remedy, exitCode: EXIT.USAGE });
  if (await isServed(path)) throw fail("another process listens there", "EADDRINUSE", "end it, or choose another name");
  removeDeadSocket(path, "--socket");
  const server = createServer((request, response: ServerResponse) => {
    void answer(volumes, request, log).then(([status, body]) =>
      response.writeHead(status, { "content-type": CONTENT_TYPE }).end(JSON.stringify(body)),
    );
  });
  try {
    makeDirectories(dirname(path));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // A user who may write to it can mount any directory, so it is for Docker's own user alone.
      const mask = process.umask(0o177);
      server.listen(path, resolve);
      process.umask(mask);
    });
    chmodSync(path, 0o600);
  } catch (cause) {
    throw fail("the socket cannot be made", (cause as NodeJS.ErrnoException).code, "run as root, or choose another place");
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
