/**
 * Decides who may use the console. On loopback: every user of the machine, through a name that is loopback's own. A page
 * elsewhere whose name resolves to 127.0.0.1 is refused. On any other address: holders of the token. It travels in a
 * header, never in a cookie, so that no other page can make a browser send it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface AccessRules {
  /** The address that the console listens on. */
  host: string;
  token: string | undefined;
}

export type Refusal = { status: 401 | 403; problem: string };

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|::1)$/i;
const LOOPBACK_HOST = /^(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?$/i;

export const isLoopback = (host: string): boolean => LOOPBACK.test(host);

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function fromElsewhere({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  const { origin, host } = headers;
  return origin !== undefined && !/^https?:\/\//.test(origin) ? true : origin !== undefined && origin.replace(/^https?:\/\//, "") !== host;
}

/** Of the pages themselves, which hold no secret. */
export function refusePage(request: IncomingMessage, { token }: AccessRules): Refusal | undefined {
  if (token === undefined && !LOOPBACK_HOST.test(request.headers.host ?? ""))
    return { status: 403, problem: "the console is reached as localhost or 127.0.0.1 alone" };
  return undefined;
}

export function refuseCall(request: IncomingMessage, rules: AccessRules): Refusal | undefined {
  const page = refusePage(request, rules);
  if (page !== undefined) return page;
  if (fromElsewhere(request)) return { status: 403, problem: "another page may not ask" };
  if (rules.token === undefined) return undefined;
  const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
  if (given !== undefined && timingSafeEqual(digest(given), digest(rules.token))) return undefined;
  return { status: 401, problem: "the token is missing or another one" };
}
