// Names the functions of a chunk, so that a list of them outlives changes of the chunk.
import { parseAst } from "rolldown/parseAst";

/** @typedef {{ type: string, start: number, end: number, [field: string]: any }} Node of the syntax, as in ESTree */
/** @typedef {{ name: string, end: number, inside: number }} NamedFunction `inside`: a place in it, and in no function within it */
/** @typedef {{ path: string, anonymous: number }} Scope */

const FUNCTION = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/;
const CLASS = /^Class(Declaration|Expression)$/;

/** @param {Node | null | undefined} node @returns {string | undefined} */
function textOf(node) {
  if (node?.type === "PrivateIdentifier") return `#${node["name"]}`;
  if (node?.type === "MemberExpression") return textOf(node["property"]);
  return node?.["name"] ?? node?.["value"];
}

/** The name that a node gives to the function within it, through calls. @param {Node} node @param {string | undefined} around */
function nameFor(node, around) {
  if (node.type === "CallExpression") return around;
  return textOf(node["id"] ?? node["key"] ?? node["left"]);
}

/** V8 has a function for the instance fields of a class. @param {Node} node a class @returns {Node | undefined} the first of them */
function firstField({ body }) {
  return body.body.find((/** @type {Node} */ member) => member.type === "PropertyDefinition" && !member["static"]);
}

/**
 * Every function, in the order of the text. Its name has those of the functions and classes around it; an anonymous function has its number
 * among those of the function around it.
 * @param {string} code @returns {NamedFunction[]} the places are those of the text
 */
export function nameFunctions(code) {
  /** @type {NamedFunction[]} */
  const found = [];
  /** @param {Node} node @param {Scope} scope @param {string | undefined} given by the node around it */
  const enter = (node, scope, given) => {
    const path = `${scope.path}${textOf(node["id"]) ?? given ?? scope.anonymous++}`;
    const { body, end } = node;
    if (FUNCTION.test(node.type)) found.push({ name: path, end, inside: body.type === "BlockStatement" ? body.start : body.start - 1 });
    else if (firstField(node) !== undefined)
      found.push({ name: `${path}/fields`, end, inside: /** @type {Node} */ (firstField(node))["key"].start });
    return { path: `${path}/`, anonymous: 0 };
  };
  /** @param {Node} node @param {Scope} scope @param {string | undefined} given */
  const visit = (node, scope, given) => {
    const inner = FUNCTION.test(node.type) || CLASS.test(node.type) ? enter(node, scope, given) : scope;
    const name = nameFor(node, given);
    for (const field in node) {
      const value = node[field];
      if (typeof value !== "object") continue;
      for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === "string") visit(child, inner, name);
    }
  };
  visit(parseAst(code), { path: "", anonymous: 0 }, undefined);
  return found;
}
