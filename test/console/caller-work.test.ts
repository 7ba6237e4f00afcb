/** A process of its own works on callers' input to the console, within limits: no decision waits for it. */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Decider } from "@sluice/decision-api";
import type { DecisionService } from "@sluice/service-decision";
import { describe, expect, test } from "vitest";
import { ask, serve } from "./harness/served.js";

interface Answer {
  status: number;
  body: string;
}

/** A POST without a client library; `sent` resolves when the last byte of its body is on its way. */
function post(
  service: DecisionService,
  call: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<Answer> & { sent: Promise<void> } {
  const [host, port] = (service.adminAddress as string).split(":");
  const length = headers["transfer-encoding"] === undefined ? { "content-length": String(Buffer.byteLength(body)) } : {};
  const outgoing = request({ host, port, path: `/console/api/${call}`, method: "POST", headers: { ...length, ...headers } });
  const answer = new Promise<Answer>((resolve, reject) => {
    outgoing.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject);
  });
  const sent = new Promise<void>((resolve) => outgoing.end(body, resolve));
  return Object.assign(answer, { sent });
}

const candidateCall = (candidate: string, path = "a"): string => JSON.stringify({ path, access: ["read"], uid: 1, gid: 1, candidate });
const padded = (bytes: number): string => `version: 1\ndefault: deny\n${"# x\n".repeat(bytes / 4)}`;
const error = ({ body }: Answer): string => (JSON.parse(body) as { error: string }).error;

const ENOUGH = 100;

/** The number of decisions, one after the other, between the end of the request's body and its answer. */
async function decisionsMeanwhile(decider: Decider, answer: Promise<Answer> & { sent: Promise<void> }): Promise<number> {
  let answered = false;
  void answer.finally(() => (answered = true)).catch(() => undefined);
  await answer.sent;
  let count = 0;
  for (; !answered; count++) {
    await ask(decider, "public/a");
    // The process that works on the call needs a processor, too. Once enough have been made, a few show that they continue.
    await sleep(count <= ENOUGH ? 1 : 25);
  }
  return count;
}

describe("a candidate policy", () => {
  test("a candidate policy of a megabyte is answered, and decisions continue while it is checked", { timeout: 120_000 }, async () => {
    // As long as a busy machine takes.
    const { service, decider } = await serve({ consoleCallBudgetS: 60 });
    const answer = post(service, "ask", candidateCall(padded(1_000_000)));
    expect(await decisionsMeanwhile(decider, answer)).toBeGreaterThan(ENOUGH);
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ inForce: { effect: "grant" }, candidate: { effect: "deny" } });
  });

  test("is cut off with a sentence if it takes too long, and decisions continue", { timeout: 120_000 }, async () => {
    const { service, decider } = await serve({ consoleCallBudgetS: 4 });
    const pattern = "(a|b|c)*".repeat(480);
    const rules = Array.from(
      { length: 900 },
      (_, i) => `  - { name: r${i}, effect: deny, when: "resource.path.matches('^${pattern}z$')" }\n`,
    );
    const answer = post(service, "ask", candidateCall(`version: 1\ndefault: grant\nrules:\n${rules.join("")}`, "a".repeat(4_096)));
    expect(await decisionsMeanwhile(decider, answer)).toBeGreaterThan(ENOUGH);
    const said = await answer;
    expect([said.status, error(said)]).toEqual([
      422,
      expect.stringMatching(/^checking and evaluating this took more than \d+ s: send a smaller policy/),
    ]);
    // On a busy machine the start of the process alone may take longer.
    const small = candidateCall("version: 1\ndefault: deny\n");
    await expect.poll(async () => (await post(service, "ask", small)).status).toBe(200);
  });

  test("is cut off with a sentence if it needs too much memory, and decisions continue", { timeout: 120_000 }, async () => {
    const { service, decider } = await serve();
    const answer = post(service, "replay", `{"log":"","candidate":[${"{},".repeat(6_000_000)}{}]}`);
    expect(await decisionsMeanwhile(decider, answer)).toBeGreaterThan(ENOUGH);
    const said = await answer;
    // On a busy machine the time may be up first.
    expect([said.status, error(said)]).toEqual([422, expect.stringMatching(/needed more than \d+ MiB of memory|took more than \d+ s/)]);
  });
});

test("callers beyond a limit are told to try again, and the others are answered one after the other", { timeout: 120_000 }, async () => {
  const { service } = await serve();
  const answers = await Promise.all(Array.from({ length: 12 }, () => post(service, "ask", candidateCall(padded(4_000)))));
  const refused = answers.filter(({ status }) => status === 503);
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(4);
  expect(refused.length).toBeGreaterThanOrEqual(1);
  for (const each of refused) expect(error(each)).toBe("too many are using the console just now: try again");
  expect((await post(service, "ask", candidateCall(padded(4)))).status).toBe(200);
});

test("a body that is too large, or without a size, is refused before it is read", async () => {
  const { service } = await serve();
  const large = await post(service, "ask", "{}", { "content-length": String(9 << 20) });
  expect([large.status, error(large)]).toEqual([413, "the request is larger than 8 MiB: send less"]);
  const unknown = await post(service, "ask", "{}", { "transfer-encoding": "chunked" });
  expect([unknown.status, error(unknown)]).toEqual([411, "the request does not say how long it is: send Content-Length"]);
});

test("limits the mistakes that a candidate's answer lists", async () => {
  const { service } = await serve();
  const keys = Array.from({ length: 5_000 }, (_, i) => `wrong${i}: 1\n`).join("");
  const said = await post(service, "ask", candidateCall(`version: 1\ndefault: grant\n${keys}`));
  expect(said.status).toBe(400);
  expect(error(said).split("\n")).toHaveLength(101);
  expect(error(said)).toMatch(/^candidate:3:1: .*\n(.*\n)*and 4900 more$/);
});
