/** `kind: deny-overrides`: all policies are asked, and the strictest answer of those of which a rule matches holds. */
import { mergeScopes, type Question, strictest } from "@sluice/decision-api";
import { abstains, type Ruling } from "../backend.js";
import type { NamedEngine, PolicyKind } from "../policy-kind.js";
import { type ListPolicy, listKind } from "./list-kind.js";

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

export const denyOverridesKind: PolicyKind<ListPolicy> = listKind("deny-overrides", ofAll);
