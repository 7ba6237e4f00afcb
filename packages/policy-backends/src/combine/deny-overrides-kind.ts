/** `kind: deny-overrides`: all policies are asked, and the strictest answer of those of which a rule matches holds. */
import { mergeScopes, type Question, strictest } from "@sluice/decision-api";
import { z } from "zod";
import { abstains, type Ruling } from "../backend.js";
import type { NamedEngine, PolicyKind } from "../policy-kind.js";
import { byPair } from "./by-pair.js";
import { PART_REMEDY, partsSchema } from "./chain-kind.js";
import { combined, loadParts } from "./parts.js";

const schema = z.strictObject({ kind: z.literal("deny-overrides"), revision: z.number().int().min(0).optional(), policies: partsSchema });

function weigh(rulings: readonly Ruling[]): Ruling {
  const unsure = rulings.flatMap(({ mayMatch }) => (mayMatch === undefined ? [] : [mayMatch]));
  const matched = rulings.filter((ruling) => !abstains(ruling) && ruling.mayMatch === undefined);
  const { mayMatch: _, ...ruling } = strictest([...(matched.length === 0 ? rulings : matched), ...unsure]);
  const mayMatch = matched.length === 0 && unsure.length > 0 ? { mayMatch: strictest(unsure) } : {};
  return { ...ruling, ...mayMatch, scope: mergeScopes(rulings) };
}

function ofAll(parts: readonly NamedEngine[], question: Question): Ruling | Promise<Ruling> {
  const rulings = parts.map(({ engine }) => engine.evaluate(question));
  if (rulings.every((ruling): ruling is Ruling => !(ruling instanceof Promise))) return weigh(rulings);
  return Promise.all(rulings.map((ruling) => Promise.resolve(ruling))).then(weigh);
}

export const denyOverridesKind: PolicyKind<z.infer<typeof schema>> = {
  name: "deny-overrides",
  schema,
  words: {
    keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
    remedies: { policies: `write a list; for each, ${PART_REMEDY}`, revision: "write a whole number that grows with each edit" },
  },
  async load({ policies }, context) {
    const parts = await loadParts(
      policies.map((each, index) => ({ part: each, path: ["policies", index] })),
      context,
    );
    return combined(parts, (question) => byPair(question, (pair) => ofAll(parts, pair)));
  },
};
