/** A path that a person types for a file of a mount, as rules see it: without doubled slashes, "." and "..". */
import { posix } from "node:path";

/** `plain` is absolute, or begins with "..", if there is a problem. */
export function pathBelowMount(path: string): { plain: string; problem: string | undefined } {
  const plain = posix.normalize(path);
  if (plain.startsWith("/")) return { plain, problem: "it is an absolute path" };
  if (/^\.\.(\/|$)/.test(plain)) return { plain, problem: "it leads out of the mount" };
  return { plain: plain === "." ? "" : plain.replace(/\/$/, ""), problem: undefined };
}
