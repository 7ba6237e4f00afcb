// Has chunks of the bundle loaded when something of them is used, not when a program loads the chunk that names them.
import { parseAst } from "rolldown/parseAst";

/** @typedef {{ type: string, start: number, end: number, [field: string]: any }} Node of the syntax, as in ESTree */

/** @param {Node} node @param {(node: Node, parent: Node | undefined) => void} take @param {Node} [parent] */
function visit(node, take, parent) {
  take(node, parent);
  for (const field in node) {
    const value = node[field];
    if (typeof value !== "object") continue;
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === "string") visit(child, take, node);
  }
}

/** Of a declaration such as `const require_tree = require("./tree.js");`. @param {Node} node @returns {[name: string, path: string] | undefined} */
function chunkOf({ type, declarations }) {
  const { id, init } = (type === "VariableDeclaration" && declarations.length === 1 && declarations[0]) || {};
  return init?.type === "CallExpression" && init.callee.name === "require" ? [id.name, init.arguments[0].value] : undefined;
}

/** Other places of a name are no uses: a property of something else, or of an object that is written down. @param {Node | undefined} parent @param {Node} node */
const isName = (parent, node) => (parent?.["property"] === node || parent?.["key"] === node) && !parent["computed"];

/**
 * The same text, with late loads of the chunks for which `isLate` holds.
 * @param {string} code of a chunk, as CommonJS @param {(path: string) => boolean} isLate its path, as in the text @returns {string}
 */
export function loadLate(code, isLate) {
  const program = parseAst(code);
  /** @type {Map<string, string>} */
  const late = new Map();
  /** @type {{ start: number, end: number, text: string }[]} */
  const edits = [];
  for (const node of /** @type {Node[]} */ (program.body)) {
    const [name, path] = chunkOf(node) ?? [];
    if (name === undefined || path === undefined || !isLate(path)) continue;
    late.set(name, path);
    edits.push({ start: node.start, end: node.end, text: "" });
  }
  if (late.size === 0) return code;
  visit(program, (node, parent) => {
    if (node.type !== "Identifier" || !late.has(node["name"]) || parent?.type === "VariableDeclarator" || isName(parent, node)) return;
    edits.push({ start: node.start, end: node.end, text: `__late.${node["name"]}` });
  });
  const text = edits
    .sort((one, other) => other.start - one.start)
    .reduce((whole, edit) => whole.slice(0, edit.start) + edit.text + whole.slice(edit.end), code);
  return `const __late = require.late(${JSON.stringify(Object.fromEntries(late))});\n${text}`;
}
