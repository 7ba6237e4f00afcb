/**
 * Values with holes, as a configuration writes them: "${subject.uid}" alone is the value itself, with its type; within a
 * longer text it is its text. A property whose fact is not there is left out.
 */
import { didYouMean } from "@sluice/decision-api";
import type { Facts } from "../facts.js";

const SUBJECT = ["uid", "gid", "groups", "executable", "cgroup"] as const;
const RESOURCE = ["path", "name", "mount", "layer", "kind", "size", "mode", "uid", "gid", "xattr", "label", "head", "digest"] as const;
const NAMES = ["action", "access", ...SUBJECT.map((name) => `subject.${name}`), ...RESOURCE.map((name) => `resource.${name}`)];
const XATTR = "resource.xattr.";
const LABEL = "resource.label.";
const HOLE = /\$\{([^{}]*)\}/g;

export type Fill = (facts: Facts) => unknown;

/** The fault of a template, and its remedy. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
  constructor(
    message: string,
    readonly remedy: string,
  ) {
    super(message);
  }
}

function factNamed(name: string): Fill {
  if (name.startsWith(XATTR)) {
    const xattr = name.slice(XATTR.length);
    return ({ resource }) => resource.xattr[xattr];
  }
  if (name.startsWith(LABEL)) {
    const label = name.slice(LABEL.length);
    return ({ resource }) => resource.label?.[label];
  }
  if (!NAMES.includes(name)) {
    const near = didYouMean(name, NAMES);
    throw new TemplateError(`'\${${name}}' is no fact`, near === undefined ? `use one of ${NAMES.join(", ")}` : `did you mean '${near}'?`);
  }
  if (name === "action" || name === "access") return (facts) => facts[name];
  // Omitted, labels count as missing; a mount without labels has none.
  if (name === "resource.label") return ({ resource }) => resource.label ?? {};
  const [whose, key] = name.split(".") as ["subject" | "resource", string];
  return (facts) => (facts[whose] as unknown as Record<string, unknown>)[key];
}

/** Of a fact, or of the text that a template made of one. */
export const textOf = (value: unknown): string => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));

function compileText(text: string): Fill {
  const whole = /^\$\{([^{}]*)\}$/.exec(text);
  if (whole !== null) return factNamed(whole[1] as string);
  const names = [...text.matchAll(HOLE)].map((match) => factNamed(match[1] as string));
  if (names.length === 0) return () => text;
  const pieces = text.split(HOLE).filter((_, index) => index % 2 === 0);
  return (facts) => pieces.map((piece, index) => piece + (names[index] === undefined ? "" : textOf(names[index](facts)))).join("");
}

/** Throws `TemplateError`. */
export function compileTemplate(template: unknown): Fill {
  if (typeof template === "string") return compileText(template);
  if (Array.isArray(template)) {
    const items = template.map(compileTemplate);
    return (facts) => items.map((fill) => fill(facts)).filter((value) => value !== undefined);
  }
  if (typeof template !== "object" || template === null) return () => template;
  const entries = Object.entries(template).map(([key, value]) => [key, compileTemplate(value)] as const);
  return (facts) => Object.fromEntries(entries.map(([key, fill]) => [key, fill(facts)]).filter(([, value]) => value !== undefined));
}
