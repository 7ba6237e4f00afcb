// Unit tests of compiled modules: a test of src/a.ts gets dist/a.js. Node loads that as it is, where vitest would transform the source, which takes
// a third of the processor time of all unit tests. Only for a run that compiles first, as `npm test` does.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";

const SOURCES = /\/(packages|services)\/([^/]+)\/src\//;

/** @returns {import("vitest/config").Plugin} */
export function compiledModules() {
  return {
    name: "compiled-modules",
    enforce: "pre",
    resolveId(source, importer) {
      if (importer === undefined || !source.startsWith(".")) return null;
      const wanted = resolve(dirname(importer), source);
      const compiled = wanted.replace(SOURCES, "/$1/$2/dist/");
      return compiled !== wanted && existsSync(compiled) ? compiled : null;
    },
  };
}
