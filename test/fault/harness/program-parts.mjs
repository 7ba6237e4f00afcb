// For code that NODE_OPTIONS=--import loads into a program, to change objects of it before it uses them. The objects of a program from the
// bundle are variables of its chunks, which no other module reaches: each chunk gets a line at its end that hands them over.
import { createRequire } from "node:module";
import vm from "node:vm";

const require = createRequire(import.meta.url);
/** As packages/dev/chunk-loader.cjs ends the text of a chunk. */
const END = "\n})";
const HAND_OVER = "__sluiceTestParts";

/** As the commands in bin/ decide it. */
const isBundled = /** @type {() => boolean} */ (require("../../../packages/runtime/bin/start.cjs").hasBundle);

/** @param {string} text of a chunk @param {readonly string[]} names of variables */
function declaredIn(text, names) {
  return names.filter((name) => new RegExp(`^(?:const|var) ${name} = (?:class\\b|\\{)`, "m").test(text));
}

/**
 * @param {readonly string[]} names @param {(parts: Record<string, any>) => void} use is called when the last of them is there, and before the
 * program runs any further
 */
function fromChunks(names, use) {
  /** @type {Record<string, unknown>} */
  const parts = {};
  /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (globalThis))[HAND_OVER] = (/** @type {object} */ some) => {
    Object.assign(parts, some);
    if (Object.keys(parts).length === names.length) use(parts);
  };
  const { Script } = vm;
  vm.Script = class extends Script {
    /** @param {string} text @param {import("node:vm").ScriptOptions} [options] */
    constructor(text, options = {}) {
      const found = declaredIn(text, names);
      if (found.length === 0) super(text, options);
      // The compiled code of the chunk is that of another text.
      else super(`${text.slice(0, -END.length)}\n${HAND_OVER}({ ${found.join(", ")} });${END}`, { ...options, cachedData: undefined });
    }
  };
}

/**
 * @template {string} Name
 * @param {Record<Name, () => Promise<any>>} sources the module of each object in dist/, by the name of its variable
 * @param {(parts: Record<Name, any>) => void} use
 */
export async function withParts(sources, use) {
  const names = /** @type {Name[]} */ (Object.keys(sources));
  if (isBundled()) return fromChunks(names, use);
  const parts = await Promise.all(names.map(async (name) => [name, (await sources[name]())[name]]));
  use(Object.fromEntries(parts));
}
