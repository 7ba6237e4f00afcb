/**
 * The identity of a question for a person: two questions with the same one are one question, and an answer that holds is for
 * these alone. Replicas compute the same id, so that it is one question on all of their lists.
 */
import { createHash } from "node:crypto";
import { ALL_ACCESSES, type Access, type Question } from "@sluice/decision-api";

export interface AskIdentity {
  mount: string;
  policyId: string;
  rule: string;
  uid: number;
  /** "" if it is not known. */
  executable: string;
  accesses: readonly Access[];
  /** Byte strings, sorted. */
  paths: readonly string[];
}

export function identityOf({ subject, resource, accesses }: Question, { policyId, rule }: { policyId: string; rule: string }): AskIdentity {
  return {
    mount: resource.mount,
    policyId,
    rule,
    uid: subject.uid,
    executable: subject.executable ?? "",
    accesses: ALL_ACCESSES.filter((access) => accesses.includes(access)),
    paths: [...resource.paths].sort(),
  };
}

const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS = 4;
const OF_GROUP = 4;

/**
 * 80 bits of a hash, in groups that a person can type. Nobody finds another question with the same id while a person reads the first
 * one and answers it.
 */
export function askIdOf(identity: AskIdentity): string {
  const { mount, policyId, rule, uid, executable, accesses, paths } = identity;
  const digest = createHash("sha256")
    .update(JSON.stringify([mount, policyId, rule, uid, executable, accesses, paths]))
    .digest();
  const letters = Array.from({ length: GROUPS * OF_GROUP }, (_, index) => {
    const bit = index * 5;
    const two = digest.readUInt16BE(bit >> 3);
    return LETTERS[(two >> (11 - (bit & 7))) & 31];
  }).join("");
  return Array.from({ length: GROUPS }, (_, group) => letters.slice(group * OF_GROUP, (group + 1) * OF_GROUP)).join("-");
}
