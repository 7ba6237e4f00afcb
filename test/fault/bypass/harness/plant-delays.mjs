// @ts-check
/**
 * Loaded into a decision service by --import: its answers come late. Each answer takes a random time of its own, at most
 * SLUICE_LONGEST_DELAY_MS and drawn by SLUICE_DELAY_SEED, so that answers overtake one another. A test can also hold an answer back until it
 * releases it: standard input takes "hold NAME REGULAR-EXPRESSION" and "release", and standard output says "held NAME" when the service
 * holds back the next question whose path matches the expression.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@sluice/testkit/random";
import { withParts } from "../../harness/program-parts.mjs";

const longestMs = Number(process.env["SLUICE_LONGEST_DELAY_MS"]);

/** From 0 to 1. Most delays are short, some are long. */
const draw = seededRandom(Number(process.env["SLUICE_DELAY_SEED"])).fraction;

/** @type {{ name: string, paths: RegExp } | undefined} */
let holding;
let release = () => {};

/** @param {import("@sluice/decision-api").Question} question */
async function wait({ resource: { paths } }) {
  const delayMs = longestMs * draw() * draw();
  if (delayMs >= 1) await sleep(delayMs);
  if (holding === undefined || !paths.some((path) => holding?.paths.test(path))) return;
  process.stdout.write(`held ${holding.name}\n`);
  // Other callers ask about the same file, and must not wait.
  holding = undefined;
  await /** @type {Promise<void>} */ (new Promise((resolve) => (release = resolve)));
}

/** @param {import("@sluice/policy-backends").Policy} policy @returns {import("@sluice/policy-backends").Policy} */
function delayed(policy) {
  return {
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
}

/** The engine asks again if another policy is in force after the wait, and tells policies apart by identity. */
/** @type {WeakMap<object, import("@sluice/policy-backends").Policy>} */
const slow = new WeakMap();

/** @param {{ FileBackend: any }} parts */
function delayAnswers({ FileBackend }) {
  const real = Object.getOwnPropertyDescriptor(FileBackend.prototype, "policy")?.get;
  if (real === undefined) throw new Error("the backend has no policy to delay");
  /** @this {object} */
  function policyInForce() {
    const policy = /** @type {import("@sluice/policy-backends").Policy} */ (real?.call(this));
    const made = slow.get(policy) ?? delayed(policy);
    slow.set(policy, made);
    return made;
  }
  Object.defineProperty(FileBackend.prototype, "policy", { get: policyInForce });
  process.stdout.write("answers come late\n");
}

/** The module exports no class. */
async function compiledBackend() {
  const { rulesBackend } = await import("@sluice/policy-backends");
  const backend = rulesBackend(process.env["SLUICE_DELAYED_POLICY"] ?? "");
  await backend.dispose();
  return { FileBackend: backend.constructor };
}

async function takeOrders() {
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, name = "", ...rest] = line.split(" ");
    if (command === "hold") holding = { name, paths: new RegExp(rest.join(" ")) };
    if (command === "release") release();
  }
  process.exit(0);
}

await withParts({ FileBackend: compiledBackend }, delayAnswers);
void takeOrders();
