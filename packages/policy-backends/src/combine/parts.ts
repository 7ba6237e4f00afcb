/** The parts of combinators: other policies, loaded together and disposed of together. */
import { type Access, type Question, uniteFactNeeds } from "@sluice/decision-api";
import { z } from "zod";
import type { Ruling } from "../backend.js";
import { hidesTooMuch } from "../hidden-names.js";
import type { Engine, LoadContext, LooksAt, NamedEngine } from "../policy-kind.js";

/** The name of a policy file, or a configuration. */
export const partSchema = z.union([z.string().min(1), z.looseObject({ kind: z.string() })]);
export const PART_REMEDY = "write the name of a policy file, or a configuration with kind:";

/** Rejects with `PolicyError` of the first that does not check, and holds none of the others then. */
export async function loadParts(
  parts: readonly { part: unknown; path: readonly PropertyKey[] }[],
  context: LoadContext,
): Promise<NamedEngine[]> {
  const loaded: NamedEngine[] = [];
  try {
    for (const { part, path } of parts) loaded.push(await context.loadPart(part, path));
    const tooMuch = hidesTooMuch(loaded.flatMap(({ engine }) => engine.hides ?? []));
    if (tooMuch !== undefined) throw context.problem([], tooMuch, "hide directories instead of each name in them");
  } catch (error) {
    await Promise.all(loaded.map(({ engine }) => engine.dispose()));
    throw error;
  }
  return loaded;
}

function looksAtAll(engines: readonly Engine[]): LooksAt {
  const all = engines.map(({ looksAt }) => looksAt);
  const callerRules = all.flatMap((each) => each.callerRules ?? []);
  return {
    accesses: new Set<Access>(all.flatMap(({ accesses }) => [...accesses])),
    ...uniteFactNeeds(all),
    ...(all.some(({ asks }) => asks === true) ? { asks: true } : {}),
    ...(callerRules.length === 0 ? {} : { callerRules }),
  };
}

function remoteRevisionOf(engines: readonly Engine[]): (() => string) | undefined {
  const remote = engines.flatMap(({ remoteRevision }) => (remoteRevision === undefined ? [] : [remoteRevision]));
  return remote.length === 0 ? undefined : () => remote.map((revision) => revision()).join("\n");
}

/** An engine made of these, but for how it answers. */
export function combined(parts: readonly NamedEngine[], evaluate: (question: Question) => Ruling | Promise<Ruling>): Engine {
  const engines = parts.map(({ engine }) => engine);
  return {
    evaluate,
    get looksAt() {
      return looksAtAll(engines);
    },
    get hides() {
      return engines.flatMap(({ hides = [] }) => hides);
    },
    ruleCount: engines.reduce((sum, { ruleCount }) => sum + ruleCount, 0),
    warnings: parts.flatMap(({ file, engine }) => engine.warnings.map((warning) => ({ file, ...warning }))),
    remoteRevision: remoteRevisionOf(engines),
    refusal: () => engines.map(({ refusal }) => refusal?.()).find((each) => each !== undefined),
    onChange(listener) {
      for (const engine of engines) engine.onChange?.(listener);
    },
    async dispose() {
      await Promise.all(engines.map((engine) => engine.dispose()));
    },
  };
}
