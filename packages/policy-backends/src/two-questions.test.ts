import { plainQuestion } from "@sluice/decision-api";
import { expect, it } from "vitest";
import type { Ruling } from "./backend.js";
import { askTwoQuestions, type Reply } from "./two-questions.js";

it("holds to the smaller number if both answers of an engine limit the same", async () => {
  const limits = { open: "10", passthrough: "100" };
  const ruling = await askTwoQuestions(plainQuestion("f"), (asks) =>
    Promise.resolve(
      asks.map(({ action }) => ({
        kind: "boolean" as const,
        allowed: action === "open",
        obligations: [{ name: "readBytesPerSecond", value: limits[action] }],
      })),
    ),
  );
  expect(ruling).toMatchObject({ effect: "mediate", obligations: [{ name: "readBytesPerSecond", value: "10" }] });
});

it("names no denial 'default', which would count as none", async () => {
  const said = (reply: Reply): Promise<Ruling> => askTwoQuestions(plainQuestion("f"), (asks) => Promise.resolve(asks.map(() => reply)));
  expect(await said({ kind: "boolean", allowed: false, rule: "default" })).toMatchObject({ effect: "deny", rule: "deny" });
  expect(await said({ kind: "effect", effect: "deny", rule: "default" })).toMatchObject({ effect: "deny", rule: "deny" });
  expect(await said({ kind: "none", reason: "it knows nothing" })).toMatchObject({ effect: "deny", rule: "default" });
});
