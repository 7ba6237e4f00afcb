import { expect, it } from "vitest";
import { PolicyError } from "./problem.js";

it("says where a mistake is in the policy, and not where the code found it", () => {
  const error = new PolicyError("policy.yaml", [
    { severity: "error", line: 3, column: 5, message: "'effect' is missing", remedy: "write effect: deny" },
  ]);
  expect(error.message).toBe("policy.yaml:3:5: 'effect' is missing: write effect: deny");
  expect(error.stack).toBe(`PolicyError: ${error.message}`);
});
