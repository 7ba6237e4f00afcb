/** `kind: chain`: policies are tried in order, and the first one of which a rule matches holds. */
import { mergeScopes, type Question, strictest } from "@sluice/decision-api";
import { abstains, type Ruling } from "../backend.js";
import type { NamedEngine, PolicyKind } from "../policy-kind.js";
import { type ListPolicy, listKind } from "./list-kind.js";

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

export const chainKind: PolicyKind<ListPolicy> = listKind("chain", (parts, question) => from(parts, 0, [], question));
