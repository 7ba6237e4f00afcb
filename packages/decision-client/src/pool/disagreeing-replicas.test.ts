/** Two services whose policies have no order: the strictest answer holds, with the obligations of both. */
import { plainQuestion, wire } from "@sluice/decision-api";
import { expect, it, onTestFinished } from "vitest";
import { connectDecider } from "../connect.js";
import { answer, CAPABILITIES, grantFor, ScriptedService } from "../testing/scripted-service.js";

type Said = Pick<wire.Decision, "effect" | "obligations"> & Partial<wire.Decision>;

async function serve(digest: string, said: Said): Promise<ScriptedService> {
  const revision = { sequence: 0n, digest: digest.repeat(32) };
  const capabilities = { ...CAPABILITIES, revision };
  const service = new ScriptedService({
    welcome: (stream) => stream.write({ message: { $case: "welcome", value: { serverVersion: "t", capabilities } } }),
    batch: (stream, questions) =>
      answer(
        stream,
        questions.map(({ id }) => grantFor(id, { ...said, revision })),
      ),
  });
  onTestFinished(() => service.end());
  await service.start();
  return service;
}

async function decided(one: Said, other: Said) {
  const services = [await serve("aa", one), await serve("bb", other)];
  const decider = connectDecider({ target: services.map(({ target }) => target).join(), mount: "m", clientVersion: "0" });
  onTestFinished(() => decider.close());
  await expect.poll(() => decider.status().split?.length).toBe(2);
  return decider.decide(plainQuestion("f"), undefined);
}

const MEDIATE = wire.Effect.MEDIATE;
const AUDITED: Said = { effect: MEDIATE, obligations: [{ name: "audit", value: "each-io" }] };
const LIMITED: Said = { effect: MEDIATE, obligations: [{ name: "maxSizeBytes", value: "10" }] };
const READ_ONLY: Said = { effect: wire.Effect.GRANT, obligations: [{ name: "readOnly", value: "true" }] };

it.each([
  ["an audit and a limit", AUDITED, LIMITED, ["audit", "maxSizeBytes"]],
  ["a grant that is read-only and an audit", READ_ONLY, AUDITED, ["audit", "readOnly"]],
])("holds to the obligations of both services: %s", async (_, one, other, names) => {
  const { effect, obligations } = await decided(one, other);
  expect([effect, obligations.map(({ name }) => name).sort()]).toEqual(["mediate", names]);
});

it("denies without obligations if one service denies", async () => {
  const denied: Said = { effect: wire.Effect.DENY, obligations: [] };
  expect(await decided(AUDITED, denied)).toMatchObject({ effect: "deny", errno: 13, obligations: [] });
});

const NONE: wire.MayMatch = { answer: undefined };

it("tells that a rule may match if one matches at one of the services alone", async () => {
  const nothing: Said = { effect: wire.Effect.DENY, obligations: [], rule: "default", mayMatch: NONE };
  const { effect, mayMatch } = await decided(nothing, { ...AUDITED, rule: "watched", mayMatch: NONE });
  expect(effect).toBe("deny");
  expect(mayMatch).toMatchObject({ effect: "mediate", rule: "watched", obligations: [{ name: "audit", value: "each-io" }] });
  expect(await decided(nothing, nothing)).toMatchObject({ mayMatch: "none" });
  expect((await decided(nothing, { ...AUDITED, rule: "watched" })).mayMatch).toBeUndefined();
});
