/** `sluice explain` on a running mount: the answer of the policy in force to an open, the layer of the file, and how it would open. */
import { factsLookedFor, type MissingFact, newQuestionId, type Question, type Subject } from "@sluice/decision-api";
import { errnoName } from "@sluice/vfs";
import type { Explanation, ExplainRequest } from "@sluice/mount-control";
import { readResource } from "../enforcement/facts/resource-facts.js";
import { toText } from "@sluice/native";
import type { MountParts } from "./mount-status.js";

/** The supposed caller. Facts that the request does not name are missing. */
function supposed(asked: ExplainRequest, missing: MissingFact[]): Subject {
  const { uid, gid, groups, executable, cgroup } = asked;
  const say = (name: string, option: string, value: unknown): void => {
    if (value === undefined) missing.push({ name: `subject.${name}`, reason: `not given: add ${option}` });
  };
  say("executable", "--executable", executable);
  say("cgroup", "--cgroup", cgroup);
  return { uid, gid, groups, pid: 0, ...(executable === undefined ? {} : { executable }), ...(cgroup === undefined ? {} : { cgroup }) };
}

interface Described {
  question: Question;
  isRegular: boolean;
  layer: string;
  dataLayer: string;
}

/** Waits for facts of the content. Resolves with the reason why it has no digest, if there is one. */
async function lookInside(parts: MountParts, { path, accesses }: ExplainRequest): Promise<string | undefined> {
  const { overlay, gate } = parts;
  const names = path.split("/").filter((name) => name !== "");
  const looking = overlay.explain({ names, accesses }, ({ intent }) => ({ done: gate.prepareContent(intent) }));
  return typeof looking === "number" ? undefined : looking.done;
}

function describe(parts: MountParts, asked: ExplainRequest, noDigest: string | undefined): Described {
  const { overlay, decider, config, gate } = parts;
  const capabilities = decider.capabilities();
  const names = asked.path.split("/").filter((name) => name !== "");
  const described = overlay.explain({ names, accesses: asked.accesses }, ({ intent, isRegular, dataLayer }): Described => {
    const missing: MissingFact[] = [];
    const subject = supposed(asked, missing);
    const wanted = capabilities === undefined ? [] : factsLookedFor(capabilities);
    const question: Question = {
      id: newQuestionId(),
      operation: intent.operation,
      accesses: intent.accesses.slice(),
      subject,
      resource: {
        ...readResource({ mount: config.name, labels: config.policyLabels }, intent, capabilities?.xattrs ?? [], missing),
        ...gate.readContent(intent, { missing, noDigest }),
      },
      openFlags: 0,
      // A fact that no rule looks at does not count as missing.
      missing: missing.filter(({ name }) => wanted.includes(name) || name.startsWith("resource.")),
      lookedFor: wanted,
    };
    return { question, isRegular, layer: intent.layer, dataLayer };
  });
  if (typeof described === "number") throw new Error(`'${toText(asked.path)}' cannot be looked at (${errnoName(described)})`);
  return described;
}

export async function explain(parts: MountParts, asked: ExplainRequest): Promise<Explanation> {
  const { question, isRegular, layer, dataLayer } = describe(parts, asked, await lookInside(parts, asked));
  const { effect, errno, rule, reason, policyId, revision, decisionId, source, scope, obligations } = await parts.gate.wouldSay(question);
  const watch = obligations.length > 0 ? () => ({ before: () => 0, after: () => undefined }) : undefined;
  const names = asked.path.split("/").filter((name) => name !== "");
  const expected =
    effect === "deny" || effect === "ask" || !isRegular
      ? undefined
      : parts.overlay.explain({ names, accesses: asked.accesses }, ({ expect }) => expect({ effect, errno, watch }));
  return {
    path: toText(asked.path),
    names: question.resource.paths.map(toText),
    accesses: question.accesses,
    subject: { uid: asked.uid, gid: asked.gid, groups: asked.groups, executable: asked.executable ?? null, cgroup: asked.cgroup ?? null },
    missing: question.missing.map(({ name, reason: why }) => ({ name, reason: why })),
    effect,
    errno: errno === 0 ? null : errnoName(errno),
    rule,
    reason,
    backend: policyId,
    revision: { sequence: revision.sequence.toString(), digest: revision.digest },
    decision: decisionId,
    source,
    scope:
      scope === undefined
        ? null
        : { ...scope, subtree: scope.subtree === undefined ? null : toText(scope.subtree), ttlMs: scope.ttlMs ?? null },
    obligations: obligations.map(({ name, value }) => ({ name, value })),
    layer,
    dataLayer,
    opened: expected === undefined || typeof expected === "number" ? null : { ...expected, because: expected.because ?? null },
  };
}
