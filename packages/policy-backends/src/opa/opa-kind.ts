/** `kind: opa`: an Open Policy Agent elsewhere, asked over its REST API (`POST /v1/data/PATH`). */
import { z } from "zod";
import { factsOf } from "../facts.js";
import type { PolicyKind } from "../policy-kind.js";
import { JsonClient } from "../remote/json-client.js";
import { remoteEngine } from "../remote/remote-engine.js";
import { HTTP_SHAPE, looksAtOf, NEEDS_KEYS, REMOTE_REMEDIES, secretsOf, timeoutMsOf } from "../remote/remote-options.js";
import type { Reply } from "../two-questions.js";
import { replyOfResult } from "./opa-result.js";

const schema = z.strictObject({
  kind: z.literal("opa"),
  ...HTTP_SHAPE,
  /** Of the document below /v1/data. */
  path: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/)
    .optional(),
});
type OpaOptions = z.infer<typeof schema>;

const DEFAULT_PATH = "sluice/decision";

async function ask(client: JsonClient, path: string, input: unknown): Promise<Reply> {
  const { status, body } = await client.send(path, { input });
  if (status !== 200) {
    const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
    throw new Error(`OPA answered with HTTP ${status}${typeof code === "string" ? ` (${code}: ${String(message).slice(0, 200)})` : ""}`);
  }
  if (typeof body !== "object" || body === null) throw new Error("OPA answered with something that is no JSON object");
  return replyOfResult((body as { result?: unknown }).result);
}

export const opaKind: PolicyKind<OpaOptions> = {
  name: "opa",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : NEEDS_KEYS),
    remedies: { ...REMOTE_REMEDIES, path: "write the path of a document, such as sluice/decision" },
  },
  load(options, context) {
    const client = new JsonClient({ url: options.url, timeoutMs: timeoutMsOf(options), ...secretsOf(options, context) });
    const path = `/v1/data/${options.path ?? DEFAULT_PATH}`;
    const looksAt = looksAtOf(options, "opa");
    const engine = remoteEngine({
      looksAt,
      askAll(question, asks) {
        const facts = factsOf(question, looksAt);
        const { operation } = question;
        return Promise.all(asks.map((each) => ask(client, path, { ...facts(each), operation })));
      },
      close: () => client.close(),
    });
    return Promise.resolve(engine);
  },
};
