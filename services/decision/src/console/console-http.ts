/** HTTP of the web console, and of other pages in its look: headers, pages, JSON, and bodies of a known length. */
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { WorkFailure } from "./work-failure.js";

export { type AccessRules, refuseCall } from "./console-access.js";
export { WorkFailure } from "./work-failure.js";

const DIRECTORY = new URL("../../console/", import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** They keep the pages from loading anything from elsewhere. */
export const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
} as const;

/** @param file in the directory of the console's pages */
export async function sendPage(response: ServerResponse, file: string): Promise<void> {
  const content = await readFile(fileURLToPath(new URL(file, DIRECTORY)));
  response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(file)] }).end(content);
}

export function sendJson(response: ServerResponse, status: number, json: string): void {
  response.writeHead(status, { ...HEADERS, "content-type": "application/json" }).end(json);
}

export function send(response: ServerResponse, status: number, body: object): void {
  sendJson(response, status, JSON.stringify(body));
}

/** Rejects with `WorkFailure`. The length is known first: nothing grows, and a body in a million pieces is not a million objects. */
export async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const length = Number(request.headers["content-length"] ?? Number.NaN);
  if (Number.isNaN(length)) throw new WorkFailure(411, "the request does not say how long it is: send Content-Length");
  if (length > maxBytes)
    throw new WorkFailure(
      413,
      `the request is larger than ${maxBytes < 1 << 20 ? `${maxBytes} bytes` : `${maxBytes >> 20} MiB`}: send less`,
    );
  const body = new Uint8Array(length);
  let at = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}
