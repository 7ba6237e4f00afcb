/**
 * JSON over HTTP/1.1 with connections that stay: posts, with a deadline, and bounds on waiting requests and on replies.
 * A connection that the other side closed while it was idle is no failure: the request is put once more.
 */
import {
  type Agent,
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  type RequestOptions,
  request as httpRequest,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

export interface JsonClientOptions {
  /** `http://`, `https://`, or `unix:///PATH.sock`, with a path that goes before all others: `unix:///PATH.sock:/BASE`. */
  url: string;
  token: string | undefined;
  ca: Buffer | undefined;
  timeoutMs: number;
}

export interface JsonResponse {
  status: number;
  /** undefined where the body is no JSON. */
  body: unknown;
}

const MAX_SOCKETS = 64;
const MAX_WAITING = 4_096;
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

interface Endpoint {
  secure: boolean;
  basePath: string;
  /** Pins every request to the place. */
  connection: RequestOptions;
}

function endpointOf(url: string): Endpoint {
  if (url.startsWith("unix://")) {
    const [socketPath = "", basePath = ""] = url.slice("unix://".length).split(":");
    return { secure: false, basePath: basePath.replace(/\/$/, ""), connection: { socketPath, host: "localhost" } };
  }
  const { protocol, hostname, port, pathname } = new URL(url);
  const connection = { host: hostname.replace(/^\[|\]$/g, ""), ...(port === "" ? {} : { port: Number(port) }) };
  return { secure: protocol === "https:", basePath: pathname.replace(/\/$/, ""), connection };
}

function readBody(response: IncomingMessage, done: (text: string) => void, failed: (error: Error) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  response.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_RESPONSE_BYTES) response.destroy(new Error(`answer is larger than ${MAX_RESPONSE_BYTES} bytes`));
    else chunks.push(chunk);
  });
  response.on("end", () => done(Buffer.concat(chunks).toString("utf8")));
  response.on("error", failed);
  response.on("aborted", () => failed(new Error("answer broke off")));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export class JsonClient {
  private readonly endpoint: Endpoint;
  private readonly agent: Agent;
  private underWay = 0;
  private onIdle: (() => void) | undefined;

  constructor(private readonly options: JsonClientOptions) {
    this.endpoint = endpointOf(options.url);
    const agentOptions = { keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_SOCKETS, scheduling: "fifo" as const };
    this.agent = this.endpoint.secure
      ? new HttpsAgent({ ...agentOptions, minVersion: "TLSv1.2", ...(options.ca && { ca: options.ca }) })
      : new HttpAgent(agentOptions);
  }

  /** Rejects if no whole answer comes in time. `path` starts with a slash; without a body it is fetched. */
  async send(path: string, body: unknown): Promise<JsonResponse> {
    if (this.underWay >= MAX_WAITING) throw new Error("too many questions wait for the policy engine");
    this.underWay++;
    const deadline = Date.now() + this.options.timeoutMs;
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    try {
      return await this.retried(path, payload, deadline);
    } finally {
      this.underWay--;
      if (this.underWay === 0) this.onIdle?.();
    }
  }

  /** An engine that was restarted has closed all connections that are kept: each of them is tried once, until a new one is made. */
  private retried(path: string, payload: Buffer | undefined, deadline: number): Promise<JsonResponse> {
    return this.once(path, payload, deadline).catch((error: unknown) => {
      if (error instanceof StaleConnection) return this.retried(path, payload, deadline);
      throw error;
    });
  }

  private once(path: string, payload: Buffer | undefined, deadline: number): Promise<JsonResponse> {
    const { endpoint, options } = this;
    return new Promise((resolve, reject) => {
      const headers = {
        accept: "application/json",
        ...(payload === undefined ? {} : { "content-type": "application/json", "content-length": payload.length }),
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      };
      const method = payload === undefined ? "GET" : "POST";
      const full: RequestOptions = { ...endpoint.connection, agent: this.agent, method, path: endpoint.basePath + path, headers };
      const request: ClientRequest = (endpoint.secure ? httpsRequest : httpRequest)(full);
      const timer = setTimeout(
        () => request.destroy(new Error(`the policy engine did not answer within ${options.timeoutMs} ms`)),
        Math.max(0, deadline - Date.now()),
      );
      const fail = (error: Error): void => {
        clearTimeout(timer);
        const code = (error as NodeJS.ErrnoException).code;
        reject(request.reusedSocket && (code === "ECONNRESET" || code === "EPIPE") ? new StaleConnection() : unreachable(error));
      };
      request.on("error", fail);
      request.on("response", (response) => {
        const finish = (text: string): void => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, body: parsed(text) });
        };
        readBody(response, finish, fail);
      });
      request.end(payload);
    });
  }

  /** Every question has its answer, or is out of its time. */
  async close(): Promise<void> {
    if (this.underWay > 0)
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    this.agent.destroy();
  }
}

class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

function unreachable(error: Error): Error {
  return new Error(`the policy engine cannot be asked: ${error.message}`, { cause: error });
}
