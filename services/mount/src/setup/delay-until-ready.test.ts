import type { Question } from "@sluice/decision-api";
import { ScriptedDecider } from "@sluice/testkit";
import { expect, test } from "vitest";
import { delayUntilReady } from "./delay-until-ready.js";

const question = { id: "q" } as Question;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("questions wait until the service is ready, and no question waits afterwards", async () => {
  const service = new ScriptedDecider("grant");
  let say: () => void = () => undefined;
  const decider = delayUntilReady(service, new Promise<void>((resolve) => (say = resolve)));
  const early = decider.decide(question, undefined);
  await turn();
  expect(service.questions).toEqual([]);
  say();
  expect(await early).toMatchObject({ effect: "grant" });
  expect(decider.decide(question, undefined)).toMatchObject({ effect: "grant" });
});

test("an aborted caller waits no longer: its question is put with the aborted signal", async () => {
  const service = new ScriptedDecider((_question, signal) => (signal?.aborted === true ? "deny" : "grant"));
  const decider = delayUntilReady(service, new Promise(() => undefined));
  const ending = new AbortController();
  const early = decider.decide(question, ending.signal);
  ending.abort();
  expect(await early).toMatchObject({ effect: "deny" });
  expect(await decider.decide(question, AbortSignal.abort())).toMatchObject({ effect: "deny" });
});
