/**
 * Questions for a person in the console: the list, and the answers of holders of the token. Without a token every process of the machine
 * reaches the console, the commands of sessions included, so it only shows the list.
 */
import { PERSON_ANSWERS, type PersonQuestion } from "@sluice/decision-api";
import { z } from "zod";
import type { PersonDesk } from "../people/person-desk.js";
import { WorkFailure } from "./work-failure.js";

const given = z.strictObject({ askId: z.string().min(1).max(64), answer: z.enum(PERSON_ANSWERS) });

/** More than an answer takes. */
export const MAX_ANSWER_BYTES = 1 << 10;
const BY = "a holder of the console's token";

const text = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** As JSON. */
export function shownQuestion({ askId, question, rule, waiting, sinceMs, answer, answeredBy }: PersonQuestion): object {
  const { subject, resource, accesses, operation } = question;
  return {
    askId,
    mount: resource.mount,
    path: text(resource.paths[0] ?? ""),
    names: resource.paths.length,
    access: accesses.join(", "),
    operation,
    uid: subject.uid,
    pid: subject.pid,
    program: subject.executable === undefined ? null : text(subject.executable),
    rule,
    waiting,
    since: new Date(sinceMs).toISOString(),
    answer: answer ?? null,
    answeredBy,
  };
}

/** @throws WorkFailure with the reason if the answer is not taken */
export function answered({ desk, hasToken }: { desk: PersonDesk; hasToken: boolean }, body: string): string {
  if (!hasToken) throw new WorkFailure(403, "answers are taken from holders of a token alone: start the service with --admin-token-file");
  const read = given.safeParse(orUndefined(body));
  if (!read.success) throw new WorkFailure(400, `send {"askId": "…", "answer": "${PERSON_ANSWERS.join("|")}"}`);
  const refused = desk.answer(read.data.askId, read.data.answer, BY);
  if (refused !== undefined) throw new WorkFailure(409, refused);
  return "{}";
}

function orUndefined(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
