/** A service that fails to evaluate one question: another replica may answer it, and nobody else's question suffers. */
import { status } from "@grpc/grpc-js";
import { type Decider, plainQuestion as question, wire } from "@sluice/decision-api";
import { expect, it, onTestFinished } from "vitest";
import { connectDecider, whenReady } from "./connect.js";
import { answer, grantFor, ScriptedService } from "./testing/scripted-service.js";

type Fails = (path: string) => boolean;
const pathOf = (asked: wire.Question | undefined): string => Buffer.from(asked?.resource?.paths[0] ?? []).toString();

/** Fails for some paths, and grants the others. `asked` gets each path. */
async function serve(fails: Fails, asked: string[], code = wire.Failure_Code.INTERNAL): Promise<ScriptedService> {
  const service = new ScriptedService({
    batch: (stream, questions) =>
      answer(
        stream,
        questions.map(({ id, question: about }) => {
          const path = pathOf(about);
          asked.push(path);
          return fails(path) ? { id, result: { $case: "failure", value: { code, message: "broken" } } } : grantFor(id);
        }),
      ),
  });
  onTestFinished(() => service.end());
  await service.start();
  return service;
}

async function connected(...services: ScriptedService[]): Promise<Decider> {
  const target = services.map((service) => service.target).join();
  const decider = connectDecider({ target, mount: "m", clientVersion: "0", onOutage: { kind: "mediate" } });
  onTestFinished(() => decider.close());
  await whenReady(decider, 30_000);
  await expect.poll(() => decider.status().replicas.filter(({ state }) => state === "ready").length).toBe(services.length);
  return decider;
}

const effectsOf = async (decider: Decider, paths: readonly string[]): Promise<string[]> =>
  Promise.all(paths.map(async (path) => (await decider.decide(question(path), undefined)).effect));
/** Whichever replica is asked first. */
const PATHS = Array.from({ length: 24 }, (_, at) => `f${at}`);

it("asks another replica if one cannot evaluate a question", async () => {
  const asked: string[] = [];
  const decider = await connected(await serve(() => true, asked), await serve(() => false, []));
  expect(await effectsOf(decider, PATHS)).toEqual(PATHS.map(() => "grant"));
  expect(asked.length).toBeGreaterThan(0);
});

it("denies a question that two replicas cannot evaluate, in every outage mode, and asks no third one", async () => {
  const asked: string[] = [];
  const replicas = await Promise.all([1, 2, 3].map(() => serve(() => true, asked)));
  const decider = await connected(...replicas);
  expect(await decider.decide(question("f"), undefined)).toMatchObject({ effect: "deny", errno: 13, source: "outage" });
  expect(asked).toEqual(["f", "f"]);
});

it("denies a question that the only replica cannot evaluate", async () => {
  const asked: string[] = [];
  const decider = await connected(await serve(() => true, asked));
  expect(await effectsOf(decider, ["f"])).toEqual(["deny"]);
  expect(asked).toEqual(["f"]);
});

it("asks no other replica about a question that one refuses as invalid", async () => {
  const asked: string[] = [];
  const invalid = wire.Failure_Code.INVALID_QUESTION;
  const decider = await connected(await serve(() => true, asked, invalid), await serve(() => true, asked, invalid));
  expect(await effectsOf(decider, ["f"])).toEqual(["deny"]);
  expect(asked).toEqual(["f"]);
});

it.each([
  ["INTERNAL", "deny"],
  ["UNKNOWN", "deny"],
  ["INVALID_ARGUMENT", "deny"],
  ["DEADLINE_EXCEEDED", "mediate"],
] as const)("takes %s from a service without sessions for the end of one question, not of the service", async (code, expected) => {
  let capabilities = 0;
  const service = new ScriptedService(
    { batch: () => undefined },
    {
      decide: ({ request }, callback) => {
        if (pathOf(request.question) === "bad") callback({ code: status[code], details: "broken" });
        else callback(null, { questionId: request.questionId, decision: decisionFor() });
      },
      getCapabilities: (call, callback) => {
        capabilities++;
        ScriptedService.tellCapabilities(call, callback);
      },
    },
    false,
  );
  onTestFinished(() => service.end());
  await service.start();
  const decider = await connected(service);
  const before = capabilities;
  expect(await effectsOf(decider, ["bad", "good", "bad", "good"])).toEqual([expected, "grant", expected, "grant"]);
  // It would ask for the capabilities again.
  expect(capabilities).toBe(before);
});

function decisionFor(): wire.Decision {
  const { result } = grantFor(1n);
  if (result?.$case !== "decision") throw new Error("a grant has a decision");
  return result.value;
}
