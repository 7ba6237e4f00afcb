/** `kind: opa-wasm`: a policy that OPA compiled to WebAssembly, evaluated here, in threads with a time budget. */
import { z } from "zod";
import { durationMs, durationSchema } from "../document/duration.js";
import { SKIP_VERIFY_REMEDY, skipVerifySchema } from "../document/signatures.js";
import { factsOf } from "../facts.js";
import { replyOfResult } from "../opa/opa-result.js";
import type { PolicyKind } from "../policy-kind.js";
import { remoteEngine } from "../remote/remote-engine.js";
import { looksAtOf, NEEDS_KEYS, REMOTE_REMEDIES, REMOTE_SHAPE } from "../remote/remote-options.js";
import { WorkerError, WorkerPool } from "../worker/worker-pool.js";
import type { OpaWasmSetup } from "./opa-wasm-worker.js";

const schema = z.strictObject({
  kind: z.literal("opa-wasm"),
  revision: REMOTE_SHAPE.revision,
  needs: REMOTE_SHAPE.needs,
  bundle: z.string().min(1),
  entrypoint: z.string().min(1).optional(),
  skipVerify: skipVerifySchema,
  timeBudget: durationSchema.optional(),
  threads: z.number().int().min(1).max(16).optional(),
});
type OpaWasmOptions = z.infer<typeof schema>;

const PROGRAM = new URL("../../dist/opa-wasm/opa-wasm-worker.js", import.meta.url);
const DEFAULT_BUDGET_MS = 1_000;
const SETUP_BUDGET_MS = 30_000;
const DEFAULT_THREADS = 2;

export const opaWasmKind: PolicyKind<OpaWasmOptions> = {
  name: "opa-wasm",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : NEEDS_KEYS),
    remedies: {
      ...REMOTE_REMEDIES,
      bundle: "write the name of a .wasm file, or of a bundle (.tar.gz) made with 'opa build -t wasm'",
      entrypoint: "write the name of an entry point, such as sluice/decision",
      skipVerify: SKIP_VERIFY_REMEDY,
      timeBudget: "write a whole number and ms, s, m or h, such as 500ms",
      threads: "write a whole number from 1 to 16",
    },
  },
  async load(options, context) {
    const { entrypoint, skipVerify } = options;
    const setup: OpaWasmSetup = { bytes: context.read(options.bundle, ["bundle"]), entrypoint, skipVerify };
    const budgetMs = options.timeBudget === undefined ? DEFAULT_BUDGET_MS : durationMs(options.timeBudget);
    const threads = options.threads ?? DEFAULT_THREADS;
    const opening = WorkerPool.open({ program: PROGRAM, setup, threads, budgetMs, setupBudgetMs: SETUP_BUDGET_MS });
    const { pool } = await opening.catch((error: unknown) => {
      if (!(error instanceof WorkerError)) throw error;
      const [problem, ...remedy] = error.message.split(": ");
      throw context.problem(["bundle"], `'${options.bundle}': ${problem ?? ""}`, remedy.join(": ") || "rebuild it");
    });
    const looksAt = looksAtOf(options, "opa-wasm");
    return remoteEngine({
      looksAt,
      async askAll(question, asks) {
        const facts = factsOf(question, looksAt);
        const { operation } = question;
        const results = (await pool.run(asks.map((ask) => ({ ...facts(ask), operation })))) as unknown[];
        return results.map(replyOfResult);
      },
      close: () => pool.close(),
    });
  },
};
