/** The admin port of a service: /metrics, /healthz and /readyz over plain HTTP, without file names, and the pages of the service. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { CliError, EXIT } from "./cli-error.js";

/** Every user of the machine may connect, and a mount needs its descriptors and memory for others. */
const MOST_CONNECTIONS = 256;
const REQUEST_MS = 5_000;
const LOOK_MS = 1_000;

export interface AdminOptions {
  /** HOST:PORT, :PORT (loopback) or [IPv6]:PORT; port 0 picks one. */
  address: string;
  registry: Registry;
  /** undefined while the service accepts work, else the reason for /readyz. */
  notReady(): string | undefined;
  /** Gets each request first. @returns true if it has answered */
  also?: ((request: IncomingMessage, response: ServerResponse) => Promise<boolean>) | undefined;
}
export interface AdminServer {
  /** The HOST:PORT that it listens on. */
  address: string;
  close(): Promise<void>;
}

/** @throws CliError, USAGE if it is not an address */
export function parseHostPort(text: string, object: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new CliError({
      object,
      problem: `'${text}' is not an address`,
      remedy: "write HOST:PORT, such as 127.0.0.1:9090",
      exitCode: EXIT.USAGE,
    });
  }
  return { host: match[1] ?? (match[2] || "127.0.0.1"), port };
}

async function answer(options: AdminOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (options.also !== undefined && (await options.also(request, response))) return;
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end("only GET\n");
    return;
  }
  switch ((request.url ?? "/").split("?", 1)[0]) {
    case "/metrics":
      response.writeHead(200, { "content-type": options.registry.contentType }).end(await options.registry.metrics());
      return;
    case "/healthz":
      response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
      return;
    case "/readyz": {
      const reason = options.notReady();
      response.writeHead(reason === undefined ? 200 : 503, { "content-type": "text/plain" }).end(`${reason ?? "ok"}\n`);
      return;
    }
    default:
      response.writeHead(404, { "content-type": "text/plain" }).end("only /metrics, /healthz and /readyz\n");
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Throws `CliError` if the address cannot be used. */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const { host, port } = parseHostPort(options.address, "--admin");
  // Programs that serve no admin port start without it.
  const { createServer } = await import("node:http");
  const timing = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, connectionsCheckingInterval: LOOK_MS };
  const server = createServer(timing, (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(`${error instanceof Error ? error.message : String(error)}\n`);
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.unref();
  try {
    await listen(server, host, port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      {
        object: `--admin ${options.address}`,
        problem: "address cannot be listened on",
        errno: code,
        remedy: "choose another one",
        exitCode: EXIT.USAGE,
      },
      { cause: error },
    );
  }
  const bound = server.address() as AddressInfo;
  return {
    address: `${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
