/** The decision log to a server that takes it as OPA sends it: POST of a gzip'ed JSON array. */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type LogEntry, type LogSink, TooLong, Unacceptable } from "./log-sink.js";

export interface HttpSinkOptions {
  url: string;
  token: string | undefined;
  ca: Buffer | undefined;
  timeoutMs: number;
}

const pack = promisify(gzip);
const TOO_LARGE = 413;
/** Said of these lines, not of the server or of us. */
const NEVER = new Set([400, 422]);

export class HttpSink implements LogSink {
  readonly name = "http";
  private readonly agent: HttpAgent;
  private readonly secure: boolean;

  constructor(private readonly options: HttpSinkOptions) {
    this.secure = options.url.startsWith("https:");
    const agentOptions = { keepAlive: true, maxSockets: 1 };
    this.agent = this.secure
      ? new HttpsAgent({ ...agentOptions, minVersion: "TLSv1.2", ...(options.ca && { ca: options.ca }) })
      : new HttpAgent(agentOptions);
  }

  async write(lines: readonly LogEntry[]): Promise<void> {
    const status = await this.post(await pack(`[${lines.map(({ text }) => text).join(",")}]`));
    if (status >= 200 && status < 300) return;
    const message = `the log's server answers with HTTP ${status}`;
    if (status === TOO_LARGE) throw new TooLong(message);
    throw NEVER.has(status) ? new Unacceptable(message) : new Error(message);
  }

  close(): Promise<void> {
    this.agent.destroy();
    return Promise.resolve();
  }

  private post(body: Buffer): Promise<number> {
    const { url, token, timeoutMs } = this.options;
    return new Promise((resolve, reject) => {
      const headers = {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "content-length": body.length,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      const request = (this.secure ? httpsRequest : httpRequest)(url, { method: "POST", agent: this.agent, headers }, (response) => {
        response.resume();
        response.on("error", reject);
        response.on("end", () => resolve(response.statusCode ?? 0));
      });
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      request.on("close", () => clearTimeout(timer));
      request.on("error", reject);
      request.end(body);
    });
  }
}
