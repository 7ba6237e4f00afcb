/** The form of a path below the mount on the wire. */
import { QUESTION_LIMITS } from "./limits.js";

const SLASH = 0x2f;
const DOT = 0x2e;

/** One component: not empty, "." or "..". */
function isName(path: string, from: number, to: number): boolean {
  const length = to - from;
  if (length === 0) return false;
  if (path.charCodeAt(from) !== DOT || length > 2) return true;
  return length === 2 && path.charCodeAt(from + 1) !== DOT;
}

/** Relative, short enough, no NUL, no empty, "." or ".." component. "" is the mount's root itself. */
export function isPlainPath(path: string): boolean {
  if (path.length > QUESTION_LIMITS.pathBytes) return false;
  if (path === "") return true;
  let from = 0;
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code === 0) return false;
    if (code !== SLASH) continue;
    if (!isName(path, from, at)) return false;
    from = at + 1;
  }
  return isName(path, from, path.length);
}
