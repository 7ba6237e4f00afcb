// Writes the reference of rules from the schema of packages/policy-backends: docs/schema/policy.schema.json as a whole, and the
// tables of docs/rules.md, each between `<!-- generated: NAME -->` and `<!-- end -->`. Needs policy-backends compiled.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CONDITION_FUNCTIONS, PLAIN_FACTS, RESOURCE_FACTS, rulesJsonSchema, SUBJECT_FACTS } from "../policy-backends/dist/index.js";

/** @import { FactText, JsonSchema } from "../policy-backends/dist/index.js" */

const SCHEMA = "docs/schema/policy.schema.json";
const PAGE = "docs/rules.md";

/** A value as YAML on one line. @param {unknown} value @returns {string} */
function inYaml(value) {
  if (typeof value === "string") return /^[A-Za-z][\w.-]*$|^\d+(ms|s|m|h)$/.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inYaml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  return `{ ${Object.entries(value)
    .map(([key, each]) => `${key}: ${inYaml(each)}`)
    .join(", ")} }`;
}

/** @param {string} text */
const code = (text) => `\`${text}\``;

/** @param {readonly string[]} cells */
const row = (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows */
const table = (head, rows) => [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

/** The values that a key takes, in words. @param {JsonSchema} schema @returns {string} */
function valuesOf(schema) {
  if (schema.anyOf?.[0] !== undefined) return `${valuesOf(schema.anyOf[0])}; or a list`;
  if (schema.enum !== undefined) return schema.enum.map((value) => code(inYaml(value))).join(", ");
  if (schema.const !== undefined) return code(inYaml(schema.const));
  if (schema.pattern?.endsWith("(ms|s|m|h)$")) return "duration";
  if (schema.type === "integer")
    return (schema.maximum ?? Infinity) < Number.MAX_SAFE_INTEGER ? `${schema.minimum} to ${schema.maximum}` : "whole number";
  if (schema.type === "object") return "mapping";
  return schema.type === "array" ? "list" : "text";
}

/** The keys of a mapping. @param {JsonSchema} schema */
function keyTable({ properties = {}, required = [] }) {
  const rows = Object.entries(properties).map(([key, schema]) => [
    code(key) + (required.includes(key) ? " (required)" : ""),
    valuesOf(schema),
    schema.description ?? "",
    (schema.examples ?? []).map((example) => code(`${key}: ${inYaml(example)}`)).join(", "),
  ]);
  return table(["key", "value", "meaning", "example"], rows);
}

/** @param {string} prefix @param {Readonly<Record<string, FactText>>} facts */
function factRows(prefix, facts) {
  return Object.entries(facts).map(([name, { type, text, example }]) => [code(prefix + name), type, text, code(example)]);
}

/** Name → text of each generated part of the page. @param {JsonSchema} policy @returns {Readonly<Record<string, string>>} */
function partsOf(policy) {
  const rule = policy.properties?.["rules"]?.items ?? {};
  return {
    policy: keyTable(policy),
    rule: keyTable(rule),
    subject: keyTable(rule.properties?.["subject"] ?? {}),
    obligations: keyTable(rule.properties?.["obligations"] ?? {}),
    facts: table(
      ["fact", "type", "value", "example"],
      [...factRows("subject.", SUBJECT_FACTS), ...factRows("resource.", RESOURCE_FACTS), ...factRows("", PLAIN_FACTS)],
    ),
    functions: CONDITION_FUNCTIONS.map((name) => code(`${name}()`)).join(",\n"),
  };
}

/** @param {string} page @param {Readonly<Record<string, string>>} parts */
function fill(page, parts) {
  const unused = new Set(Object.keys(parts));
  const filled = page.replace(/(<!-- generated: (\w+) -->\n)[^]*?(<!-- end -->)/g, (_, begin, name, end) => {
    if (!unused.delete(name)) throw new Error(`${PAGE}: '${name}' is unknown or repeated: keep one marker for each generated part`);
    return `${begin}\n${parts[name]}\n\n${end}`;
  });
  if (unused.size > 0) throw new Error(`${PAGE}: no marker for ${[...unused].join(", ")}: add <!-- generated: NAME --> and <!-- end -->`);
  return filled;
}

/** The content of the generated files, by their names below `root`. @param {string} root @returns {ReadonlyMap<string, string>} */
export function ruleReference(root) {
  const schema = rulesJsonSchema();
  return new Map([
    [SCHEMA, `${JSON.stringify(schema, undefined, 2)}\n`],
    [PAGE, fill(readFileSync(join(root, PAGE), "utf8"), partsOf(schema))],
  ]);
}
