/** AuthZEN 1.0 over HTTP: `/access/v1/evaluation`, `/access/v1/evaluations` and discovery, for products that ask in its words. */
import { timingSafeEqual } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { CliError, EXIT, type Logger, parseHostPort } from "@sluice/runtime";
import type { DecisionEngine } from "../engine/decision-engine.js";
import { isNamed } from "../grpc/client-names.js";
import { followTlsFiles, type TlsFiles } from "../grpc/tls-files.js";
import { evaluateMany, evaluateOne } from "./evaluate.js";
import { BadRequest } from "./evaluation-question.js";

export interface AuthzenOptions {
  /** HOST:PORT; port 0 picks one. */
  address: string;
  /** The address that clients know it by; by default its own. */
  url: string | undefined;
  /** The bearer token that they must show. */
  token: string | undefined;
  tls: TlsFiles | undefined;
  log: Logger;
}
export interface AuthzenServer {
  url: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
const REQUEST_MS = 10_000;
const MAX_CONNECTIONS = 1_024;
const EVALUATION = "/access/v1/evaluation";
const EVALUATIONS = "/access/v1/evaluations";
const DISCOVERY = "/.well-known/authzen-configuration";

class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? ""))
    throw new HttpError(400, "the content type is not application/json");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new HttpError(413, `the request is larger than ${MAX_BODY_BYTES} bytes`, { connection: "close" });
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new HttpError(400, "the request is no JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new HttpError(400, "the request is no object");
  return body as Record<string, unknown>;
}

function authorized(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const shown = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return shown.length === wanted.length && timingSafeEqual(shown, wanted);
}

class AuthzenPoint {
  url = "";

  constructor(
    private readonly options: AuthzenOptions,
    private readonly engine: DecisionEngine,
  ) {}

  serve(request: IncomingMessage, response: ServerResponse): void {
    const id = request.headers["x-request-id"];
    const reply = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      const echo = typeof id === "string" && id.length <= 256 ? { "x-request-id": id } : {};
      response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", ...echo, ...headers });
      response.end(JSON.stringify(body));
    };
    this.answer(request).then(
      (body) => reply(200, body),
      (error: unknown) => {
        if (error instanceof HttpError) reply(error.status, error.message, error.headers);
        else if (error instanceof BadRequest) reply(400, error.message);
        else {
          this.options.log.error({ err: error }, "an evaluation of AuthZEN failed");
          reply(500, "the policy gave no answer: see the log of the decision service");
        }
      },
    );
  }

  private async answer(request: IncomingMessage): Promise<unknown> {
    const path = (request.url ?? "/").split("?", 1)[0];
    const method = path === DISCOVERY ? "GET" : "POST";
    if (path !== DISCOVERY && path !== EVALUATION && path !== EVALUATIONS)
      throw new HttpError(404, `only ${EVALUATION}, ${EVALUATIONS} and ${DISCOVERY}`);
    if (request.method !== method) throw new HttpError(405, `only ${method}`, { allow: method });
    const { tls } = this.options;
    if (tls !== undefined && !isNamed((request.socket as TLSSocket).getPeerCertificate(), tls.clientSans))
      throw new HttpError(403, "the client's certificate has none of the names that may ask");
    if (path === DISCOVERY) return this.discovery();
    if (!authorized(request, this.options.token))
      throw new HttpError(401, "the token is missing or wrong", { "www-authenticate": "Bearer" });
    const body = await bodyOf(request);
    return path === EVALUATION ? evaluateOne(body, this.engine) : evaluateMany(body, this.engine);
  }

  private discovery(): Record<string, string> {
    return {
      policy_decision_point: this.url,
      access_evaluation_endpoint: this.url + EVALUATION,
      access_evaluations_endpoint: this.url + EVALUATIONS,
    };
  }
}

function listen(server: Server | HttpsServer, { address }: AuthzenOptions): Promise<AddressInfo> {
  const { host, port } = parseHostPort(address, "--authzen");
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const problem = "address cannot be listened on";
      reject(
        new CliError(
          { object: `--authzen ${address}`, problem, errno: cause.code, remedy: "choose another one", exitCode: EXIT.USAGE },
          { cause },
        ),
      );
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

/** Throws `CliError` if it cannot listen. */
export async function startAuthzenServer(options: AuthzenOptions, engine: DecisionEngine): Promise<AuthzenServer> {
  const point = new AuthzenPoint(options, engine);
  const serve = (request: IncomingMessage, response: ServerResponse): void => point.serve(request, response);
  const { tls, log } = options;
  const mutual = tls?.clientCaFile !== undefined;
  const secure =
    tls === undefined ? undefined : createHttpsServer({ minVersion: "TLSv1.3", requestCert: mutual, rejectUnauthorized: mutual }, serve);
  const server = secure ?? createHttpServer(serve);
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  server.maxConnections = MAX_CONNECTIONS;
  const following =
    secure !== undefined && tls !== undefined ? followTlsFiles(tls, (context) => secure.setSecureContext(context), log) : undefined;
  const bound = await listen(server, options);
  const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  point.url = options.url?.replace(/\/$/, "") ?? `${tls === undefined ? "http" : "https"}://${host}:${bound.port}`;
  if (tls === undefined && !/^(127\.|::1$)/.test(bound.address))
    log.warn({ address: `${host}:${bound.port}` }, "serving AuthZEN without TLS: anybody on the network may read the answers");
  return {
    url: point.url,
    close: () =>
      new Promise((resolve) => {
        following?.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
