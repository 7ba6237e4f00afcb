import { plainQuestion } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { askTwoQuestions } from "./two-questions.js";

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
