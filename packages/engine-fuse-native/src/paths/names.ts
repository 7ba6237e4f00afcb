/** Paths as libfuse has them ("/a/b", UTF-8 decoded by the addon) and names as the contract has them (byte strings). */
import type { ByteName } from "@sluice/vfs";

const ASCII = /^[ -~]*$/;

/** The bytes of a name; undefined if the addon lost them in decoding, since they were not UTF-8. */
export function bytesOf(text: string): ByteName | undefined {
  if (ASCII.test(text)) return text;
  return text.includes("\ufffd") ? undefined : Buffer.from(text).toString("latin1");
}

/** The text of a byte string; undefined if it is not UTF-8. */
export function textOfBytes(bytes: ByteName): string | undefined {
  if (ASCII.test(bytes)) return bytes;
  const text = Buffer.from(bytes, "latin1").toString();
  return text.includes("\ufffd") ? undefined : text;
}

/** "/a/b" → "/a" and "b"; "/a" → "/" and "a". Not for "/". */
export function splitPath(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf("/");
  return { parent: slash <= 0 ? "/" : path.slice(0, slash), name: path.slice(slash + 1) };
}

/** The path, or something below it. */
export function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || (path.startsWith(directory) && path[directory.length] === "/");
}
