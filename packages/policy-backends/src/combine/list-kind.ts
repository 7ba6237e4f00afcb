/** The kinds that combine a list of policies: their configuration, and their engine. How they weigh the answers is theirs alone. */
import type { Question } from "@sluice/decision-api";
import { z } from "zod";
import type { Ruling } from "../backend.js";
import type { NamedEngine, PolicyKind } from "../policy-kind.js";
import { byPair } from "./by-pair.js";
import { combined, loadParts, PART_REMEDY, partSchema } from "./parts.js";

const MOST_PARTS = 16;

export interface ListPolicy {
  kind: string;
  revision?: number | undefined;
  policies: z.infer<typeof partSchema>[];
}

/** @param evaluate the answer for one path with one access */
export function listKind(
  name: string,
  evaluate: (parts: readonly NamedEngine[], question: Question) => Ruling | Promise<Ruling>,
): PolicyKind<ListPolicy> {
  const schema = z.strictObject({
    kind: z.literal(name),
    revision: z.number().int().min(0).optional(),
    policies: z.array(partSchema).min(1).max(MOST_PARTS),
  });
  return {
    name,
    schema,
    words: {
      keysAt: (path) => (path.length === 0 ? Object.keys(schema.shape) : []),
      remedies: { policies: `write a list; for each, ${PART_REMEDY}`, revision: "write a whole number that grows with each edit" },
    },
    async load({ policies }, context) {
      const parts = await loadParts(
        policies.map((part, index) => ({ part, path: ["policies", index] })),
        context,
      );
      return combined(parts, (question) => byPair(question, (pair) => evaluate(parts, pair)));
    },
  };
}
