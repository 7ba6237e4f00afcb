import type { Question } from "@sluice/decision-api";
import { ScriptedDecider } from "@sluice/testkit";
import { expect, test } from "vitest";
import { afterFirstWord } from "./after-first-word.js";

const question = { id: "q" } as Question;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("who asks before the first word waits for it, and afterwards nobody does", async () => {
  const service = new ScriptedDecider("grant");
  let say: () => void = () => undefined;
  const decider = afterFirstWord(service, new Promise<void>((resolve) => (say = resolve)));
  const early = decider.decide(question, undefined);
  await turn();
  expect(service.questions).toEqual([]);
  say();
  expect(await early).toMatchObject({ effect: "grant" });
  expect(decider.decide(question, undefined)).toMatchObject({ effect: "grant" });
});

test("who is asked to end waits no longer: the question is put, with a signal that is over", async () => {
  const service = new ScriptedDecider((_question, signal) => (signal?.aborted === true ? "deny" : "grant"));
  const decider = afterFirstWord(service, new Promise(() => undefined));
  const ending = new AbortController();
  const early = decider.decide(question, ending.signal);
  ending.abort();
  expect(await early).toMatchObject({ effect: "deny" });
  expect(await decider.decide(question, AbortSignal.abort())).toMatchObject({ effect: "deny" });
});
