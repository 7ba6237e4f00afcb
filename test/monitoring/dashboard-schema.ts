/**
 * Checks a dashboard against the types that Grafana publishes as its schema, with the compiler: a JSON value is written as a literal of
 * such a type, so an unknown field is an error, too. Defaults fill in the options of a panel, so these are partial.
 */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runScript, scratch } from "@sluice/testkit";

const require = createRequire(import.meta.url);
const COMPILER = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
const SCHEMA = join(dirname(require.resolve("@grafana/schema/package.json")), "dist/types");

interface Panel {
  type: string;
  options?: unknown;
  fieldConfig?: { defaults: { custom?: unknown } };
  panels?: Panel[];
}

const TYPES = `
import type { Dashboard } from "@grafana/schema/raw/dashboard/x/types.gen";
import type * as stat from "@grafana/schema/raw/composable/stat/panelcfg/x/types.gen";
import type * as table from "@grafana/schema/raw/composable/table/panelcfg/x/types.gen";
import type * as timeseries from "@grafana/schema/raw/composable/timeseries/panelcfg/x/types.gen";
type Json<T> = unknown extends T ? T : T extends string ? \`\${T}\` : T extends readonly (infer E)[] ? Json<E>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Some<T> = unknown extends T ? T : T extends readonly (infer E)[] ? Some<E>[] : T extends object ? { [K in keyof T]?: Some<T[K]> } : T;
type Kinds = {
  row: { options: never; custom: never };
  stat: { options: stat.Options; custom: never };
  table: { options: table.Options; custom: table.FieldConfig };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
};
type Options<Kind extends keyof Kinds> = Json<Some<Kinds[Kind]["options"]>>;
type Custom<Kind extends keyof Kinds> = Json<Some<Kinds[Kind]["custom"]>>;
`;

function literalsOf({ type, options, fieldConfig, panels = [] }: Panel): string[] {
  const kind = JSON.stringify(type);
  const custom = fieldConfig?.defaults.custom;
  return [
    ...(options === undefined ? [] : [`(${JSON.stringify(options)}) satisfies Options<${kind}>;`]),
    ...(custom === undefined ? [] : [`(${JSON.stringify(custom)}) satisfies Custom<${kind}>;`]),
    `${kind} satisfies keyof Kinds;`,
    ...panels.flatMap(literalsOf),
  ];
}

/** @returns the compiler's complaints, empty if there are none */
export async function complaintsAbout(dashboard: { panels: Panel[] }): Promise<string> {
  const place = scratch();
  const lines = [TYPES, `(${JSON.stringify(dashboard)}) satisfies Json<Dashboard>;`, ...dashboard.panels.flatMap(literalsOf)];
  writeFileSync(join(place, "dashboard.ts"), lines.join("\n"));
  const compilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ["es2023"], module: "esnext", moduleResolution: "bundler" },
    paths: { "@grafana/schema": [join(SCHEMA, "index.d.ts")], "@grafana/schema/*": [join(SCHEMA, "*")] },
  };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["dashboard.ts"] }));
  return (await runScript([process.execPath, COMPILER, "-p", place])).stdout;
}
