/** Writes the policy of a test as YAML. Policies whose text is what a test is about are written out there. */
type Effect = "grant" | "mediate" | "deny" | "hide" | "ask";

export interface PolicyRule {
  /** `rule-1`, `rule-2`, … unless given. */
  readonly name?: string;
  readonly effect: Effect;
  /** `path`, `access`, `subject`, `when`, `obligations`, … as in docs/rules.md. */
  readonly [key: string]: unknown;
}

/** The policy with these rules, in this order. `fallback` is the effect if no rule matches. */
export function policyOf(fallback: Exclude<Effect, "hide" | "ask">, ...rules: readonly PolicyRule[]): string {
  const lines = rules.map((rule, index) => `  - ${JSON.stringify({ name: `rule-${index + 1}`, ...rule })}\n`);
  return `version: 1\ndefault: ${fallback}\n${rules.length === 0 ? "" : `rules:\n${lines.join("")}`}`;
}
