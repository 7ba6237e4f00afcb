// A user who may set attributes chooses the size of a question. An oversized question is denied, and other questions do not notice.
import { plainQuestion as question, type Question } from "@sluice/decision-api";
import { expect, it, onTestFinished } from "vitest";
import { NO_EVENTS } from "./decision-client-events.js";
import { connectDecider, whenReady } from "./connect.js";
import { answer, grantFor, ScriptedService } from "./testing/scripted-service.js";

function withAttributes(path: string, count: number): Question {
  const asked = question(path);
  const xattrs = new Map(Array.from({ length: count }, (_, i) => [`user.a${i}`, Buffer.alloc(65_536)]));
  return { ...asked, resource: { ...asked.resource, xattrs } };
}

it("denies a question that no message holds, without a cost to other questions", async () => {
  const batches: number[] = [];
  const service = new ScriptedService({
    batch: (stream, questions) => {
      batches.push(questions.length);
      answer(
        stream,
        questions.map(({ id }) => grantFor(id)),
      );
    },
  });
  onTestFinished(() => service.end());
  await service.start();
  let replayed = 0;
  const decider = connectDecider({
    target: service.target,
    mount: "m",
    clientVersion: "0",
    onOutage: { kind: "mediate" },
    events: { ...NO_EVENTS, replayed: (count) => void (replayed += count) },
  });
  onTestFinished(() => decider.close());
  await whenReady(decider, 5_000);
  const [refused, other] = await Promise.all([
    decider.decide(withAttributes("huge", 64), undefined),
    decider.decide(question("other"), undefined),
  ]);
  expect(refused).toMatchObject({ effect: "deny", rule: "refused", reason: expect.stringContaining("extended attributes") as string });
  expect(other).toMatchObject({ effect: "grant", source: "service" });
  // Questions of the largest size are sent, each in a message of its own.
  const most = await Promise.all(["a", "b", "c"].map(async (path) => decider.decide(withAttributes(path, 16), undefined)));
  expect(most.map(({ effect }) => effect)).toEqual(["grant", "grant", "grant"]);
  expect(batches).toEqual([1, 1, 1, 1]);
  expect({ replayed, streams: service.streams.length }).toEqual({ replayed: 0, streams: 1 });
});
