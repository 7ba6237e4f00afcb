/** Reads a large policy file in a thread of its own, which may be ended: reading one that is made to hurt stalls nobody. */
import { parseYaml } from "../document/yaml-document.js";
import { Refusal, serveTasks } from "../worker/serve-tasks.js";
import { checkRules } from "./load-policy.js";
import { PolicyError } from "./problem.js";

export interface RulesSetup {
  text: string;
  file: string;
}

serveTasks<RulesSetup, never>({
  setup({ text, file }) {
    const parsed = parseYaml(text);
    if (!parsed.ok) throw new Refusal("the policy does not check", parsed.problems);
    // Another kind of policy has its own checks; that it is YAML is known now.
    const { value } = parsed.result;
    if (typeof value === "object" && value !== null && "kind" in value && value.kind !== "rules") return undefined;
    try {
      const { document, warnings } = checkRules(parsed.result, file);
      return { document, warnings };
    } catch (error) {
      throw error instanceof PolicyError ? new Refusal("the policy does not check", error.problems) : error;
    }
  },
  run: () => undefined,
});
