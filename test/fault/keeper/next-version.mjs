// Turns the program that loads it (--import) into the next version: another version string, and a newer format of state
// if it is loaded as next-version.mjs?format.
import { register } from "node:module";

const format = import.meta.url.endsWith("?format");
const hook = `
const changes = [
  ["/packages/runtime/dist/version.js", /VERSION = "[^"]*"/, 'VERSION = "9.9.9"'],
  ${format ? '["/packages/journal/dist/layout.js", /FORMAT_VERSION = 1/, "FORMAT_VERSION = 2"],' : ""}
];
export async function load(url, context, next) {
  const loaded = await next(url, context);
  for (const [path, from, to] of changes) {
    if (!url.endsWith(path)) continue;
    const source = String(loaded.source);
    if (!from.test(source)) throw new Error(path + " is not as it was");
    return { ...loaded, source: source.replace(from, to) };
  }
  return loaded;
}
`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
