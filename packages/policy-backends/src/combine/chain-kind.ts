/** `kind: chain`: policies are tried in order, and the first one of which a rule matches holds. */
import { mergeScopes, type Question, strictest } from "@sluice/decision-api";
import { z } from "zod";
import { abstains, type Ruling } from "../backend.js";
import type { NamedEngine, PolicyKind } from "../policy-kind.js";
import { byPair } from "./by-pair.js";
import { combined, loadParts } from "./parts.js";

const part = z.union([z.string().min(1), z.looseObject({ kind: z.string() })]);
export const partsSchema = z.array(part).min(1).max(16);
export const partSchema = part;
export const PART_REMEDY = "write the name of a policy file, or a configuration with kind:";

const schema = z.strictObject({ kind: z.literal("chain"), revision: z.number().int().min(0).optional(), policies: partsSchema });

/** `next`: the answer if no rule of the policy before matches. Whether one does may be unknown. */
function withUnsure({ mayMatch }: Ruling, next: Ruling): Ruling {
  if (mayMatch === undefined) return next;
  const { mayMatch: nextMayMatch, ...held } = next;
  const ruling = strictest([held, mayMatch]);
  if (nextMayMatch !== undefined) return { ...ruling, mayMatch: strictest([nextMayMatch, mayMatch]) };
  return abstains(next) ? { ...ruling, mayMatch } : ruling;
}

function from(parts: readonly NamedEngine[], at: number, tried: readonly Ruling[], question: Question): Ruling | Promise<Ruling> {
  const { engine } = parts[at] as NamedEngine;
  const ruling = engine.evaluate(question);
  const go = (found: Ruling): Ruling | Promise<Ruling> => {
    const all = [...tried, found];
    if (at + 1 < parts.length && (abstains(found) || found.mayMatch !== undefined)) {
      const next = from(parts, at + 1, all, question);
      return next instanceof Promise ? next.then((ruling) => withUnsure(found, ruling)) : withUnsure(found, next);
    }
    // Those that said nothing were looked into, too.
    return all.length === 1 ? found : { ...found, scope: mergeScopes(all) };
  };
  return ruling instanceof Promise ? ruling.then(go) : go(ruling);
}

export const chainKind: PolicyKind<z.infer<typeof schema>> = {
  name: "chain",
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
    return combined(parts, (question) => byPair(question, (pair) => from(parts, 0, [], pair)));
  },
};
