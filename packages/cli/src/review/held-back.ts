/**
 * Finds changes that an apply holds back unless they are named. The policy judged a changed file by the names that the mount knew at the time.
 * Other names of the file (hard links) change with it, so a review asks the policy about each name of such a file.
 */
import type { Difference } from "@sluice/changes";
import { type Access, type FileKind, plainQuestion, type Question, usualOperation } from "@sluice/decision-api";
import type { Policy } from "@sluice/policy-backends";
import type { SessionPolicy } from "./session-policy.js";

/** The accesses that would make the change by this name. */
function accessesOf({ after, aspects }: Difference): Access[] {
  if (after === undefined) return ["delete"];
  const isOf = (...some: Difference["aspects"]): boolean => some.some((aspect) => aspects.includes(aspect));
  return [...(isOf("type", "content") ? ["write" as const] : []), ...(isOf("mode", "owner", "attributes") ? ["metadata" as const] : [])];
}

/** About the file of the directory, by this name alone. All that nobody knows any more, such as the program, is missing. */
function questionOf(one: Difference, base: string): Question {
  const { path, before } = one;
  const accesses = accessesOf(one);
  const { mode, uid, gid, size } = (before as NonNullable<typeof before>).object.attr; // only a file that was there is shared
  const plain = plainQuestion(path);
  return {
    ...plain,
    accesses,
    operation: usualOperation(accesses[0]),
    subject: { uid: 0, gid: 0, groups: [0], pid: 0 },
    resource: {
      ...{ ...plain.resource, mount: base, layer: "lower0", mode, uid, gid },
      kind: (before?.type ?? "regular") as FileKind, // both have the names of the same kinds
      sizeBytes: BigInt(size),
    },
  };
}

async function refusalOf(policy: Policy, question: Question): Promise<string | undefined> {
  try {
    const { effect, rule, hides } = await policy.evaluate(question);
    if (hides === true) return `rule ${rule} hides the name`;
    if (effect === "ask") return `rule ${rule} asks a person`;
    return effect === "deny" ? (rule === "default" ? "the policy denies it by default" : `rule ${rule} denies it`) : undefined;
  } catch {
    return "the policy gives no answer";
  }
}

/** Notes the reason in each of these changes of shared files that is held back: in all, if the policy cannot be asked. */
export async function noteHeldBack(shared: readonly Difference[], policy: SessionPolicy): Promise<void> {
  const { loadPolicyFile, NO_BACKEND_EVENTS } = await import("@sluice/policy-backends");
  const loaded = await loadPolicyFile(policy.file, NO_BACKEND_EVENTS).catch(() => undefined);
  for (const one of shared) {
    const refusal = loaded === undefined ? "the policy cannot be read" : await refusalOf(loaded.policy, questionOf(one, policy.base));
    if (refusal !== undefined) one.heldBack = refusal;
  }
  await loaded?.engine.dispose();
}
