/** Reads a request of the control socket. Whoever may connect may send anything. */
import { type Access, ALL_ACCESSES, PERSON_ANSWERS } from "@sluice/decision-api";
import { type ControlRequest, type ExplainRequest, MAX_PROFILE_MS } from "./control-protocol.js";

/** Undefined if this build does not know the request. */
export function parseRequest(line: string): ControlRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { method, watch, force } = value as { method?: unknown; watch?: unknown; force?: unknown };
  switch (method) {
    case "status":
    case "activity":
    case "layers":
    case "freed":
    case "hold":
      return { method };
    case "restack":
      return restackRequest(value as Record<string, unknown>);
    case "profile":
      return profileRequest(value as Record<string, unknown>);
    case "unmount":
      return { method, force: force === true };
    case "asks":
      return { method, watch: watch === true };
    case "answer":
      return answerRequest(value as Record<string, unknown>);
    case "grants":
    case "log":
      return { method, watch: watch === true };
    case "explain":
      return explainRequest(value as Record<string, unknown>);
    default:
      return undefined;
  }
}

/** The names are of directories, in one that the mount knows. */
function restackRequest({ next, taken, formerPath }: Record<string, unknown>): ControlRequest | undefined {
  const isName = (each: unknown): each is string => typeof each === "string" && /^\w+$/.test(each);
  return isName(next) && isName(taken) && typeof formerPath === "string" ? { method: "restack", next, taken, formerPath } : undefined;
}

function profileRequest({ durationMs }: Record<string, unknown>): ControlRequest | undefined {
  if (typeof durationMs !== "number" || !(durationMs > 0) || durationMs > MAX_PROFILE_MS) return undefined;
  return { method: "profile", durationMs };
}

function answerRequest({ askId, answer, way }: Record<string, unknown>): ControlRequest | undefined {
  const known = PERSON_ANSWERS.find((each) => each === answer);
  if (typeof askId !== "string" || known === undefined || (way !== "command" && way !== "terminal")) return undefined;
  return { method: "answer", askId, answer: known, way };
}

function explainRequest(value: Record<string, unknown>): ExplainRequest | undefined {
  const { path, accesses, uid, gid, groups, executable, cgroup } = value;
  const isId = (each: unknown): each is number => Number.isInteger(each) && (each as number) >= 0 && (each as number) <= 0xffff_ffff;
  const isText = (each: unknown): each is string | undefined => each === undefined || typeof each === "string";
  const isAccess = (each: unknown): each is Access => ALL_ACCESSES.includes(each as Access);
  if (typeof path !== "string" || path.split("/").some((name) => name === "." || name === "..")) return undefined;
  if (!Array.isArray(accesses) || accesses.length === 0 || !accesses.every(isAccess)) return undefined;
  if (!isId(uid) || !isId(gid) || !Array.isArray(groups) || !groups.every(isId) || !isText(executable) || !isText(cgroup)) return undefined;
  return { method: "explain", path, accesses, uid, gid, groups, executable, cgroup };
}
