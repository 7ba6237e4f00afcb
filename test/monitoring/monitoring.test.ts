/**
 * Dashboards, alert rules and the reference of metrics name all that the services export, and nothing else: names are
 * scraped from a real decision service and a real mount. Prometheus' own tool reads the rules.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRegistry } from "@sluice/runtime/metrics";
import { startDecisionService } from "@sluice/service-decision";
import { cleanUp, freePort, mountSluice, plant, policyOf, requires, runScript, scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { complaintsAbout } from "./dashboard-schema.js";

const directory = (name: string): string => fileURLToPath(new URL(`../../deploy/monitoring/${name}`, import.meta.url));
const DASHBOARD = "grafana/dashboards/sluice.json";
const NAME = /\b(?:sluice|nodejs|process)_[a-z0-9_]+/g;

/** Exported, and on no dashboard: each with its reason. */
const NOT_SHOWN: Readonly<Record<string, string>> = {};

interface Panel {
  type: string;
  title: string;
  description?: string;
  targets?: { expr: string; datasource: { uid: string } }[];
  panels?: Panel[];
}
interface Alert {
  alert: string;
  expr: string;
  annotations: Record<string, string>;
}
const dashboard = JSON.parse(readFileSync(directory(DASHBOARD), "utf8")) as { panels: Panel[] };
const panels = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
const expressions = panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => expr));
const alerts = (parse(readFileSync(directory("alerts.yml"), "utf8")) as { groups: { rules: Alert[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);
const namesIn = (texts: readonly string[]): Set<string> =>
  // Labels and values that look like names do not: only what stands outside of braces and quotes.
  new Set(texts.flatMap((text) => text.replace(/"[^"]*"/g, "").match(NAME) ?? []).map((name) => name.replace(/_(bucket|sum|count)$/, "")));

async function exportedBy(address: string): Promise<string[]> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name as string);
}

const { test: mounted } = requires("/dev/fuse", "CAP_SYS_ADMIN");

mounted("every metric that is exported is shown and explained, and nothing else is", async () => {
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, policyOf("grant"));
  const listen = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
  const service = await startDecisionService({ policy, listen, admin: "127.0.0.1:0", registry: createRegistry(true) });
  cleanUp(() => service.drain(100));
  const admin = `127.0.0.1:${await freePort()}`;
  await mountSluice({ lowers: [plant(scratch(), { file: "text" })], args: ["--admin", admin] });
  const exported = new Set([...(await exportedBy(service.adminAddress as string)), ...(await exportedBy(admin))]);
  const ours = [...exported].filter((name) => name.startsWith("sluice_"));
  expect(ours).toContain("sluice_evaluations_total");
  expect(ours).toContain("sluice_requests_total");

  const used = namesIn([...expressions, ...alerts.map(({ expr }) => expr)]);
  expect(used.size).toBeGreaterThan(20);
  expect([...used].filter((name) => !exported.has(name))).toEqual([]);

  const shown = namesIn(expressions);
  expect(ours.filter((name) => !shown.has(name) && NOT_SHOWN[name] === undefined)).toEqual([]);
  expect(Object.keys(NOT_SHOWN).filter((name) => shown.has(name) || !exported.has(name))).toEqual([]);

  const reference = readFileSync(fileURLToPath(new URL("../../docs/metrics.md", import.meta.url)), "utf8");
  const explained = new Set([...reference.matchAll(/^\| `(sluice_\w+)/gm)].map(([, name]) => name as string));
  expect([...explained].sort()).toEqual(ours.sort());
});

test("every panel and every alert says what it means, and alerts what to do", () => {
  for (const panel of panels) if (panel.targets !== undefined) expect(panel.description, panel.title).toBeTruthy();
  for (const { alert, annotations } of alerts) {
    expect(annotations["summary"], alert).toBeTruthy();
    expect(annotations["remedy"], alert).toBeTruthy();
  }
});

test("the dashboard and the options of its panels fit the schema of Grafana", async () => {
  expect(await complaintsAbout(dashboard)).toBe("");
  const [row, first] = dashboard.panels as [Panel, Panel];
  const wrong: [named: string, panel: object][] = [
    ["gridpos", { gridpos: { h: 1, w: 1, x: 0, y: 0 } }],
    ["string", { title: 7 }],
    ["reduceOption", { options: { reduceOption: { calcs: ["lastNotNull"] } } }],
    ["huge", { options: { graphMode: "huge" } }],
    ["pie", { type: "pie" }],
  ];
  for (const [named, panel] of wrong)
    expect(await complaintsAbout({ ...dashboard, panels: [row, { ...first, ...panel }] })).toContain(named);
});

test("the dashboard's source of data is the one that is provisioned", () => {
  const { datasources } = parse(readFileSync(directory("grafana/provisioning/datasources/prometheus.yml"), "utf8")) as {
    datasources: { uid: string }[];
  };
  const asked = new Set(panels.flatMap((panel) => (panel.targets ?? []).map(({ datasource }) => datasource.uid)));
  expect([...asked]).toEqual(datasources.map(({ uid }) => uid));
});

const { test: checked } = requires("command promtool");

checked("Prometheus reads the rules, its configuration, and every query of the dashboard", async () => {
  const place = scratch();
  for (const name of ["alerts.yml", "prometheus.yml"])
    writeFileSync(join(place, name), readFileSync(directory(name), "utf8").replaceAll("/etc/prometheus/", ""));
  const queries = expressions.map((expr, index) => ({ record: `query:${index}`, expr: expr.replaceAll("$__rate_interval", "1m") }));
  writeFileSync(join(place, "queries.yml"), JSON.stringify({ groups: [{ name: "dashboard", rules: queries }] }));
  for (const command of [
    ["promtool", "check", "config", join(place, "prometheus.yml")],
    ["promtool", "check", "rules", join(place, "queries.yml")],
  ]) {
    const result = await runScript(command);
    expect(result.code, result.stdout + result.stderr).toBe(0);
  }
  const wrong = join(place, "wrong.yml");
  writeFileSync(wrong, JSON.stringify({ groups: [{ name: "g", rules: [{ record: "a:b", expr: "sum by (" }] }] }));
  expect((await runScript(["promtool", "check", "rules", wrong])).code).not.toBe(0);
});
