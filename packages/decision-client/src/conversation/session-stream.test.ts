// A running Session bypasses the layers of grpc-js if the peer speaks plain gRPC, and does not otherwise.
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { encodeQuestions, MessageWriter, plainQuestion, wire } from "@sluice/decision-api";
import { expect, it, onTestFinished } from "vitest";
import { answer, CAPABILITIES, grantFor, ScriptedService, type Script, type Stream } from "../testing/scripted-service.js";
import { type FromService, SessionStream } from "./session-stream.js";

const welcome = (stream: Stream): void =>
  void stream.write({ message: { $case: "welcome", value: { serverVersion: "t", capabilities: CAPABILITIES } } });
const writer = new MessageWriter();
const question = (id: number): Buffer => encodeQuestions(writer, [{ id, question: plainQuestion("a"), timeoutMs: 1_000 }]);

async function converse(script: Script) {
  const service = new ScriptedService(script);
  onTestFinished(() => service.end());
  await service.start();
  const client = new wire.DecisionServiceClient(`unix:${service.path}`, credentials.createInsecure());
  onTestFinished(() => client.close());
  const heard: FromService[] = [];
  const ends: string[] = [];
  const stream = new SessionStream(client, {
    received: (response) => void heard.push(response),
    failed: (_, code) => void ends.push(status[code] as string),
    ended: () => void ends.push("ended"),
  });
  onTestFinished(() => stream.cancel());
  stream.write({ message: { $case: "hello", value: { mount: "m", clientVersion: "0" } } });
  await expect.poll(() => heard.length).toBe(1);
  return { stream, heard, ends, ids: () => heard.flatMap((each) => ("answers" in each ? each.answers.map(({ id }) => id) : [])) };
}

const grantAll: Script["batch"] = (stream, questions) =>
  answer(
    stream,
    questions.map(({ id }) => grantFor(id)),
  );

it("is direct from its first answer on, and ends like any call", async () => {
  const { stream, ends, ids } = await converse({ batch: grantAll });
  expect(stream.isDirect).toBe(true);
  for (let id = 1; id <= 200; id++) stream.write(question(id));
  await expect.poll(() => ids().length).toBe(200);
  expect(ids()).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  stream.end();
  await expect.poll(() => ends).toContain("ended");
});

it("reports it if the service breaks off, refuses, or sends an oversized or invalid message", async () => {
  for (const [batch, end] of [
    [(stream: Stream) => stream.emit("error", { code: status.FAILED_PRECONDITION, details: "no" }), "FAILED_PRECONDITION"],
    [(stream: Stream) => answer(stream, [grantFor(1n, { reason: "x".repeat(5_000_000) })]), "RESOURCE_EXHAUSTED"],
  ] as const) {
    const { stream, ends } = await converse({ batch: (by) => void batch(by) });
    stream.write(question(1));
    await expect.poll(() => ends[0]).toBe(end);
  }
});

it("leaves a service that may compress to grpc-js, and still gets answers", async () => {
  const { stream, ids } = await converse({
    welcome: (by) => {
      const headers = new Metadata();
      headers.set("grpc-encoding", "gzip");
      by.sendMetadata(headers);
      welcome(by);
    },
    batch: grantAll,
  });
  expect(stream.isDirect).toBe(false);
  stream.write(question(1));
  await expect.poll(ids).toEqual([1]);
});
