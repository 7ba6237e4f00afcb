// The server's end of a Session goes past the layers of grpc-js, for clients that ask in plain gRPC and in any order.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ClientDuplexStream,
  type ClientOptions,
  credentials,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type SentAnswer, encodeAnswers, MessageWriter, wire } from "@sluice/decision-api";
import { expect, it, onTestFinished } from "vitest";
import { question } from "../testing/wire-question.js";
import { MountStream } from "./mount-stream.js";
import { type FromMount, SERVICE_DEFINITION } from "./service-definition.js";

const writer = new MessageWriter();
const refusal = (id: number): SentAnswer => ({ id, failure: { code: wire.Failure_Code.OVERLOADED, message: "" } });

/** Answers each question with a refusal. */
async function serve(options: ClientOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), "sluice-mount-stream-"));
  const server = new Server({ "grpc.max_receive_message_length": 4 * 1024 * 1024 });
  const told: string[] = [];
  let stream: MountStream | undefined;
  server.addService(
    { session: SERVICE_DEFINITION.session },
    {
      session: (call: ConstructorParameters<typeof MountStream>[0]) => {
        stream = new MountStream(call, {
          received: (request: FromMount) => {
            const answers = "questions" in request ? request.questions.map(({ id }) => refusal(id)) : [refusal(0)];
            for (const message of encodeAnswers(writer, answers)) stream?.write(message);
          },
          finished: () => {
            told.push("finished");
            stream?.end();
          },
          closed: () => void told.push("closed"),
        });
      },
    },
  );
  const address = `unix:${join(directory, "s.sock")}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
  );
  const client = new wire.DecisionServiceClient(address, credentials.createInsecure(), options);
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
    rmSync(directory, { recursive: true });
  });
  const call = client.session();
  const heard: number[] = [];
  const ends: string[] = [];
  call.on("data", ({ message }: wire.SessionResponse) => {
    if (message?.$case === "batch") heard.push(...message.value.answers.map(({ id }) => Number(id)));
  });
  call.on("error", (error: ServiceError) => void ends.push(status[error.code] as string));
  call.on("end", () => void ends.push("end"));
  return { call, heard, ends, told, isDirect: () => stream?.isDirect === true };
}

const hello = { message: { $case: "hello" as const, value: { mount: "m", clientVersion: "0" } } };
type Call = ClientDuplexStream<wire.SessionRequest, wire.SessionResponse>;

function ask(call: Call, id: number, value = ""): void {
  const { resource } = question("a");
  const asked = question("a", { resource: resource && { ...resource, xattrs: { "user.a": Buffer.from(value) } } });
  const pending = { id: BigInt(id), question: asked, timeout: undefined, questionId: "q" };
  call.write({ message: { $case: "batch", value: { questions: [pending] } } });
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

it("is direct from the second message on, keeps the order, and ends with the call", async () => {
  const { call, heard, ends, told, isDirect } = await serve();
  call.write(hello);
  await expect.poll(() => heard).toEqual([0]);
  expect(isDirect()).toBe(false);
  for (const id of upTo(100)) ask(call, id, id % 10 === 0 ? "x".repeat(60_000) : "");
  await expect.poll(() => heard.length).toBe(101);
  expect(isDirect()).toBe(true);
  expect(heard).toEqual([0, ...upTo(100)]);
  call.end();
  await expect.poll(() => ends).toEqual(["end"]);
  expect(told[0]).toBe("finished");
});

it("answers what comes all at once", async () => {
  const { call, heard } = await serve();
  call.write(hello);
  for (const id of upTo(50)) ask(call, id);
  await expect.poll(() => heard).toEqual([0, ...upTo(50)]);
  for (const id of upTo(50)) ask(call, 50 + id);
  await expect.poll(() => heard).toEqual([0, ...upTo(100)]);
});

it("ends a call whose message is too large, and hears of one that is given up", async () => {
  for (const [act, end] of [
    [(call: Call) => ask(call, 2, "x".repeat(5 * 1024 * 1024)), "RESOURCE_EXHAUSTED"],
    [(call: Call) => call.cancel(), "CANCELLED"],
  ] as const) {
    const { call, heard, ends, told, isDirect } = await serve();
    call.write(hello);
    await expect.poll(() => heard).toEqual([0]);
    ask(call, 1);
    await expect.poll(() => heard).toEqual([0, 1]);
    expect(isDirect()).toBe(true);
    act(call);
    await expect.poll(() => ends[0]).toBe(end);
    await expect.poll(() => told).toContain("closed");
  }
});

it("answers a client that compresses, by grpc-js", async () => {
  const { call, heard, isDirect } = await serve({ "grpc.default_compression_algorithm": 2 });
  call.write(hello);
  await expect.poll(() => heard).toEqual([0]);
  ask(call, 1, "x".repeat(10_000));
  ask(call, 2);
  await expect.poll(() => heard).toEqual([0, 1, 2]);
  expect(isDirect()).toBe(false);
});
