/** `kind: ext-authz`: any server of Envoy's external authorization API (v3), asked over gRPC. */
import { type ChannelCredentials, Client, credentials } from "@grpc/grpc-js";
import type { Effect, Question } from "@sluice/decision-api";
import { z } from "zod";
import { contentFacts } from "../facts.js";
import type { LoadContext, LooksAt, PolicyKind } from "../policy-kind.js";
import { remoteEngine } from "../remote/remote-engine.js";
import { CANNOT_ASK, CANNOT_HIDE } from "../hidden-names.js";
import { looksAtOf, NEEDS_KEYS, REMOTE_REMEDIES, REMOTE_SHAPE, timeoutMsOf } from "../remote/remote-options.js";
import type { BooleanQuestion, Reply } from "../two-questions.js";
import { type CheckRequest, type CheckResponse, decodeCheckResponse, encodeCheckRequest } from "./check-messages.js";

const schema = z.strictObject({
  kind: z.literal("ext-authz"),
  ...REMOTE_SHAPE,
  target: z.string().regex(/^(unix:\/\/\/.+|(dns:\/\/\/)?[^/\s]+:\d{1,5})$/),
  tls: z
    .strictObject({ caFile: z.string().min(1).optional(), certFile: z.string().min(1).optional(), keyFile: z.string().min(1).optional() })
    .optional(),
});
type ExtAuthzOptions = z.infer<typeof schema>;

const METHOD = "/envoy.service.auth.v3.Authorization/Check";
const EFFECTS: ReadonlySet<string> = new Set<Effect>(["grant", "mediate", "deny"]);
const UNRESERVED = /[A-Za-z0-9._~/-]/;

/** Byte by byte, so that every name there can be comes through, and no two are the same. */
function escaped(bytes: string): string {
  return [...Buffer.from(bytes, "latin1")]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

/** Such servers look for headers by names in lower case. */
const xattrHeader = (name: string): string => `x-sluice-xattr-${name.toLowerCase()}`;

/** Throws `PolicyError` if two attributes would get one header: a caller could overwrite one by the other. */
function checkXattrs({ needs }: ExtAuthzOptions, context: LoadContext): void {
  const byHeader = new Map<string, string>();
  for (const [index, name] of (needs?.xattrs ?? []).entries()) {
    const other = byHeader.get(xattrHeader(name));
    if (other !== undefined && other !== name) {
      const message = `'${name}' and '${other}' differ only in letter case, and have the same header`;
      throw context.problem(["needs", "xattrs", index], message, "name one of them");
    }
    byHeader.set(xattrHeader(name), name);
  }
}

function requestOf(question: Question, { action, access, path }: BooleanQuestion, looksAt: LooksAt): CheckRequest {
  const { subject, resource, operation } = question;
  const headers: Record<string, string> = {
    "x-sluice-access": access,
    "x-sluice-uid": String(subject.uid),
    "x-sluice-gid": String(subject.gid),
    "x-sluice-groups": (subject.groups ?? []).join(","),
    "x-sluice-layer": resource.layer,
    "x-sluice-kind": resource.kind,
    "x-sluice-mode": resource.mode.toString(8),
    "x-sluice-owner": `${resource.uid}:${resource.gid}`,
  };
  if (subject.executable !== undefined) headers["x-sluice-executable"] = escaped(subject.executable);
  if (subject.cgroup !== undefined) headers["x-sluice-cgroup"] = escaped(subject.cgroup);
  const { head, digest } = contentFacts(question, looksAt);
  if (head !== undefined) headers["x-sluice-head"] = head;
  if (digest !== undefined) headers["x-sluice-digest"] = digest;
  // Only those: another part of the policy may look at one that would get the same header.
  for (const name of looksAt.xattrs) {
    const value = resource.xattrs.get(name);
    if (value !== undefined) headers[xattrHeader(name)] = escaped(Buffer.from(value).toString("latin1"));
  }
  return {
    principal: `uid:${subject.uid}`,
    http: {
      id: question.id,
      method: action.toUpperCase(),
      path: `/${escaped(path)}`,
      host: escaped(resource.mount),
      scheme: "sluice",
      headers,
      sizeBytes: resource.sizeBytes,
    },
    contextExtensions: { mount: escaped(resource.mount), layer: resource.layer, operation, action, access },
  };
}

function replyOf({ code, message, deniedBody, headers, metadata }: CheckResponse): Reply {
  const rule = metadata.get("rule") ?? headers.get("x-sluice-rule");
  const reason = metadata.get("reason") ?? headers.get("x-sluice-reason") ?? (message === "" ? deniedBody : message);
  const words = { rule, reason: reason === "" ? undefined : reason };
  if (code === undefined) throw new Error("the authorization server answered without a status");
  if (code !== 0) return { kind: "boolean", allowed: false, ...words };
  const effect = metadata.get("effect") ?? headers.get("x-sluice-effect");
  if (effect === undefined) return { kind: "boolean", allowed: true, ...words };
  if (effect === "hide") throw new Error(CANNOT_HIDE);
  if (effect === "ask") throw new Error(CANNOT_ASK);
  if (!EFFECTS.has(effect)) throw new Error(`the authorization server answered with the unknown effect '${effect.slice(0, 40)}'`);
  return { kind: "effect", effect: effect as Effect, ...words };
}

function credentialsOf({ tls }: ExtAuthzOptions, context: LoadContext): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const read = (key: "caFile" | "certFile" | "keyFile"): Buffer | null =>
    tls[key] === undefined ? null : context.read(tls[key], ["tls", key]);
  try {
    return credentials.createSsl(read("caFile"), read("keyFile"), read("certFile"));
  } catch (error) {
    if (error instanceof Error && error.name === "PolicyError") throw error;
    throw context.problem(["tls"], `its certificates do not fit: ${(error as Error).message}`, "write certFile with its keyFile");
  }
}

class CheckClient {
  private readonly client: Client;
  private underWay = 0;
  private onIdle: (() => void) | undefined;

  constructor(
    target: string,
    channel: ChannelCredentials,
    private readonly timeoutMs: number,
  ) {
    this.client = new Client(target.replace(/^unix:\/\//, "unix:"), channel, { "grpc.use_local_subchannel_pool": 1 });
  }

  check(request: CheckRequest): Promise<CheckResponse> {
    this.underWay++;
    const asked = new Promise<CheckResponse>((resolve, reject) => {
      this.client.makeUnaryRequest<CheckRequest, CheckResponse>(
        METHOD,
        encodeCheckRequest,
        decodeCheckResponse,
        request,
        { deadline: Date.now() + this.timeoutMs },
        (error, response) => {
          if (response !== undefined && error === null) resolve(response);
          else reject(new Error(`the authorization server cannot be asked: ${error?.details ?? "no answer"}`, { cause: error }));
        },
      );
    });
    return asked.finally(() => {
      this.underWay--;
      if (this.underWay === 0) this.onIdle?.();
    });
  }

  /** Every question has its answer, or is out of its time. */
  async close(): Promise<void> {
    if (this.underWay > 0)
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    this.client.close();
  }
}

export const extAuthzKind: PolicyKind<ExtAuthzOptions> = {
  name: "ext-authz",
  schema,
  words: {
    keysAt(path) {
      if (path.length === 0) return Object.keys(schema.shape);
      return path[0] === "tls" ? ["caFile", "certFile", "keyFile"] : NEEDS_KEYS;
    },
    remedies: {
      ...REMOTE_REMEDIES,
      target: "write HOST:PORT or unix:///PATH.sock",
      tls: "write { caFile: …, certFile: …, keyFile: … }, or {} for the authorities of the system",
    },
  },
  async load(options, context) {
    checkXattrs(options, context);
    const client = new CheckClient(options.target, credentialsOf(options, context), timeoutMsOf(options));
    const looksAt = looksAtOf(options, "ext-authz");
    const engine = remoteEngine({
      looksAt,
      askAll: (question, asks) => Promise.all(asks.map(async (ask) => replyOf(await client.check(requestOf(question, ask, looksAt))))),
      close: () => client.close(),
    });
    return engine;
  },
};
