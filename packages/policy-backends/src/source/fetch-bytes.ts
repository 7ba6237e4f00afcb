/** One HTTP GET of a document, unless the server still has the one that was fetched before. Bounded in time and size. */
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isGzip } from "../document/tar.js";
import { MAX_DELIVERED_BYTES, tooMuchDelivered } from "./delivered.js";

export interface FetchOptions {
  url: string;
  token: string | undefined;
  ca: Buffer | undefined;
  timeoutMs: number;
}

export type Fetched = { state: "same" } | { state: "new"; bytes: Buffer; etag: string | undefined };

/** The server answers with something that cannot be a policy. */
export class Unfit extends Error {
  override readonly name = "Unfit";
}

const MAX_REDIRECTS = 3;

/** Else the end of the connection is that of the answer, and the first rules of a policy are a policy, too. An archive has an end. */
function tellsItsEnd(headers: IncomingHttpHeaders, bytes: Buffer): boolean {
  return headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined || isGzip(bytes);
}

function take(response: IncomingMessage, resolve: (fetched: Fetched) => void, reject: (error: Error) => void): void {
  const { statusCode = 0, headers } = response;
  if (statusCode === 304 || statusCode !== 200) {
    response.resume();
    if (statusCode === 304) resolve({ state: "same" });
    else reject(new Error(`the server answers with HTTP ${statusCode}`));
    return;
  }
  const tooMuch = (): void => {
    // First why, since a response that is destroyed says that it broke off.
    reject(new Unfit(tooMuchDelivered().message));
    response.destroy();
  };
  if (Number(headers["content-length"] ?? 0) > MAX_DELIVERED_BYTES) {
    tooMuch();
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  response.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_DELIVERED_BYTES) tooMuch();
    else chunks.push(chunk);
  });
  response.on("error", reject);
  response.on("aborted", () => reject(new Error("the answer broke off")));
  response.on("end", () => {
    const bytes = Buffer.concat(chunks);
    if (tellsItsEnd(headers, bytes)) resolve({ state: "new", bytes, etag: headers.etag });
    else reject(new Unfit("the answer has no Content-Length, so it may have been cut off: let the server send one, or send a .tar.gz"));
  });
}

function once(url: URL, options: FetchOptions, headers: Record<string, string>): Promise<Fetched | { state: "moved"; to: string }> {
  const secure = url.protocol === "https:";
  return new Promise((resolve, reject) => {
    const how: RequestOptions = { headers, ...(secure ? { minVersion: "TLSv1.2", ...(options.ca && { ca: options.ca }) } : {}) };
    const request = (secure ? httpsRequest : httpRequest)(url, how);
    // Of all of it: a server that sends a byte now and then holds nobody for longer.
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${options.timeoutMs} ms`)), options.timeoutMs);
    request.on("close", () => clearTimeout(timer));
    request.on("error", reject);
    request.on("response", (response) => {
      const { location } = response.headers;
      const moved = [301, 302, 307, 308].includes(response.statusCode ?? 0) && location !== undefined;
      if (moved) response.resume();
      if (moved) resolve({ state: "moved", to: location });
      else take(response, resolve, reject);
    });
    request.end();
  });
}

/** Rejects with `Unfit` where what is there cannot be a policy, else with why it cannot be had. */
export async function fetchBytes(options: FetchOptions, etag: string | undefined): Promise<Fetched> {
  let url = new URL(options.url);
  for (let turn = 0; turn <= MAX_REDIRECTS; turn++) {
    // A token is for the server that it was given for.
    const known = url.origin === new URL(options.url).origin;
    const fetched = await once(url, options, {
      accept: "application/gzip, application/yaml, */*",
      ...(etag === undefined ? {} : { "if-none-match": etag }),
      ...(options.token === undefined || !known ? {} : { authorization: `Bearer ${options.token}` }),
    });
    if (fetched.state !== "moved") return fetched;
    const next = new URL(fetched.to, url);
    if (next.protocol !== url.protocol) throw new Error(`the server sends on to ${next.protocol}//…, which is another protocol`);
    url = next;
  }
  throw new Error(`the server sends on more than ${MAX_REDIRECTS} times`);
}
