/** The common part of the configurations of engines elsewhere: their addresses, and the facts they need. */
import { type Access, ALL_ACCESSES, NO_FACTS } from "@sluice/decision-api";
import { z } from "zod";
import { HEAD_BYTES_REMEDY, headBytesSchema } from "../document/head-bytes.js";
import { durationMs, durationSchema } from "../document/duration.js";
import type { LoadContext, LooksAt } from "../policy-kind.js";
import { isLoopback } from "./loopback.js";

const needs = z.strictObject({
  groups: z.boolean().optional(),
  executable: z.boolean().optional(),
  cgroup: z.boolean().optional(),
  xattrs: z.array(z.string().min(1).max(255)).max(64).optional(),
  headBytes: headBytesSchema.optional(),
  digest: z.boolean().optional(),
});

/** Keys that every engine elsewhere has. */
export const REMOTE_SHAPE = {
  revision: z.number().int().min(0).optional(),
  timeout: durationSchema.optional(),
  needs: needs.optional(),
};

/** Keys of those that are reached by HTTP. */
export const HTTP_SHAPE = {
  ...REMOTE_SHAPE,
  url: z.string().regex(/^(https?:\/\/[^/]+|unix:\/\/\/[^:]+)/),
  tokenFile: z.string().min(1).optional(),
  caFile: z.string().min(1).optional(),
};

export const REMOTE_REMEDIES: Readonly<Record<string, string>> = {
  revision: "write a whole number that grows with each edit",
  timeout: "write a whole number and ms, s, m or h, such as 500ms",
  needs: "write { groups: true, executable: true, cgroup: true, xattrs: [user.class], headBytes: 512, digest: true }",
  groups: "write groups: true, or leave it out",
  executable: "write executable: true, or leave it out",
  cgroup: "write cgroup: true, or leave it out",
  xattrs: "write a list of names such as [user.class]",
  headBytes: HEAD_BYTES_REMEDY,
  digest: "write digest: true, or leave it out",
  url: "write http://HOST:PORT, https://HOST:PORT or unix:///PATH.sock",
  tokenFile: "write the name of a file with a bearer token",
  caFile: "write the name of a file with certificates (PEM)",
};

export const NEEDS_KEYS: readonly string[] = Object.keys(needs.shape);

const DEFAULT_TIMEOUT_MS = 1_000;

export const timeoutMsOf = ({ timeout }: { timeout?: string | undefined }): number =>
  timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout);

/** Everything is asked: what an engine elsewhere governs is not known here. */
export function looksAtOf(options: { needs?: z.infer<typeof needs> | undefined }, kind: string): LooksAt {
  const { groups, executable, cgroup, xattrs, headBytes, digest } = options.needs ?? {};
  return {
    accesses: new Set<Access>(ALL_ACCESSES),
    needsGroups: groups ?? NO_FACTS.needsGroups,
    needsExecutable: executable ?? NO_FACTS.needsExecutable,
    needsCgroup: cgroup ?? NO_FACTS.needsCgroup,
    xattrs: xattrs ?? NO_FACTS.xattrs,
    headBytes: headBytes ?? NO_FACTS.headBytes,
    needsDigest: digest ?? NO_FACTS.needsDigest,
    callerRules: [kind],
  };
}

const MAX_SECRET_BYTES = 1024 * 1024;

/** Plain HTTP to another machine. */
export function isExposedUrl(url: string): boolean {
  return url.startsWith("http://") && URL.canParse(url) && !isLoopback(new URL(url).hostname);
}

/** A token or certificate that is replaced is an edit of the policy. */
export function secretsOf(
  options: { url: string; tokenFile?: string | undefined; caFile?: string | undefined },
  context: LoadContext,
): { token: string | undefined; ca: Buffer | undefined } {
  const { url, tokenFile, caFile } = options;
  if (tokenFile !== undefined && isExposedUrl(url))
    context.events.warned(
      context.problem(["tokenFile"], "the token goes over plain HTTP: whoever is on the way reads it", "write an https:// url"),
    );
  return {
    token: tokenFile === undefined ? undefined : context.read(tokenFile, ["tokenFile"], MAX_SECRET_BYTES).toString("utf8").trim(),
    ca: caFile === undefined ? undefined : context.read(caFile, ["caFile"], MAX_SECRET_BYTES),
  };
}
