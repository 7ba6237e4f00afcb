/** The options with which a person describes a question on the command line. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { QUESTION_LIMITS } from "@sluice/decision-api";
import type { DescribedQuestion } from "@sluice/policy-backends";
import { CliError, EXIT } from "@sluice/runtime";
import { pathBelowMount } from "../path-below-mount.js";

export interface CallerFlags {
  uid?: string;
  gid?: string;
  executable?: string;
}

export function callerOf({ uid, gid, executable }: CallerFlags): Pick<DescribedQuestion, "uid" | "gid" | "executable"> {
  return { uid: idOf(uid, "--uid"), gid: idOf(gid, "--gid"), executable };
}

/** The kernel's ids have 32 bits. */
const MAX_ID = 2 ** 32 - 1;

function idOf(text: string | undefined, option: string): number | undefined {
  const id = numberOf(text, option);
  if (id === undefined || id <= MAX_ID) return id;
  throw new CliError({
    object: `${option} ${text}`,
    problem: "it is no id",
    remedy: `write one from 0 to ${MAX_ID}`,
    exitCode: EXIT.USAGE,
  });
}

export function numberOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new CliError({ object: `${option} ${text}`, problem: "it is not a whole number", remedy: "write one", exitCode: EXIT.USAGE });
}

/** Of a file at hand, in place of one on a mount. */
export function contentOf(file: string | undefined): Pick<DescribedQuestion, "size" | "head" | "digest"> {
  if (file === undefined) return {};
  try {
    const bytes = readFileSync(file);
    const digest = createHash("sha256").update(bytes).digest("hex");
    return { size: bytes.length, head: bytes.toString("latin1", 0, QUESTION_LIMITS.headBytes), digest };
  } catch (error) {
    const problem = `it cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`;
    throw new CliError({ object: file, problem, remedy: "name a file that is there and readable", exitCode: EXIT.USAGE }, { cause: error });
  }
}

/** Throws CliError if the path leads elsewhere. */
export function pathFlag(path: string): string {
  const { plain, problem } = pathBelowMount(path);
  if (problem === undefined) return plain;
  const below = plain.replace(/^\/+|^(\.\.(\/|$))+/, "");
  const remedy = `write the path below the mount's root, as in ${below === "" ? "data/file" : below}`;
  throw new CliError({
    object: path,
    problem,
    remedy: `${remedy}; 'sluice explain' takes a file of a running mount`,
    exitCode: EXIT.USAGE,
  });
}
