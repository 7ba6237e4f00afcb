// @ts-check
/**
 * A decision service over a real policy file, with late answers. Each answer takes a random time of its own, so that answers
 * overtake one another. A test can also hold an answer back until it releases it. Started by slow-decision.ts:
 * slow-decision-process.mjs SOCKET POLICY LONGEST_DELAY_MS SEED ASK_TIMEOUT_MS. Reads "hold NAME REGULAR-EXPRESSION" and "release" from
 * standard input; prints "held NAME" when it holds back the next question whose path matches the expression.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { rulesBackend } from "@sluice/policy-backends";
import { parseListenTarget, startDecisionService } from "@sluice/service-decision";
import { seededRandom } from "@sluice/testkit/random";

const [socket = "", policyFile = "", longest = "0", seed = "1", askTimeout = ""] = process.argv.slice(2);
const backend = rulesBackend(policyFile);

/** From 0 to 1. Most delays are short, some are long. */
const draw = seededRandom(Number(seed)).fraction;

/** @type {{ name: string, paths: RegExp } | undefined} */
let holding;
let release = () => {};

/** @param {import("@sluice/decision-api").Question} question */
async function wait({ resource: { paths } }) {
  const delayMs = Number(longest) * draw() * draw();
  if (delayMs >= 1) await sleep(delayMs);
  if (holding === undefined || !paths.some((path) => holding?.paths.test(path))) return;
  process.stdout.write(`held ${holding.name}\n`);
  // Other callers ask about the same file, and must not wait.
  holding = undefined;
  await /** @type {Promise<void>} */ (new Promise((resolve) => (release = resolve)));
}

/** The engine asks again if another policy is in force after the wait, and tells policies apart by identity. */
/** @type {WeakMap<object, import("@sluice/policy-backends").Policy>} */
const slow = new WeakMap();
function policyInForce() {
  const { policy } = backend;
  const known = slow.get(policy);
  if (known !== undefined) return known;
  /** @type {import("@sluice/policy-backends").Policy} */
  const made = {
    id: policy.id,
    revision: policy.revision,
    capabilities: policy.capabilities,
    evaluate: async (question) => {
      // The answer is that of the moment when the question came.
      const ruling = await policy.evaluate(question);
      await wait(question);
      return ruling;
    },
  };
  slow.set(policy, made);
  return made;
}

const service = await startDecisionService({
  policy: {
    name: backend.name,
    get policy() {
      return policyInForce();
    },
    get failure() {
      return backend.failure;
    },
    refresh: () => backend.refresh(),
    get watchedDirectories() {
      return backend.watchedDirectories;
    },
    dispose: () => backend.dispose(),
  },
  listen: parseListenTarget(`unix:${socket}`),
  askTimeoutMs: askTimeout === "" ? undefined : Number(askTimeout),
});
process.stdout.write(`deciding at ${service.target}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const [command, name = "", ...rest] = line.split(" ");
  if (command === "hold") holding = { name, paths: new RegExp(rest.join(" ")) };
  if (command === "release") release();
}
process.exit(0);
