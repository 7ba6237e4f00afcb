// Has chunks of the bundle loaded when something of them is used, not when a program loads the chunk that names them.
import { parseAst } from "rolldown/parseAst";

/** @typedef {{ type: string, start: number, end: number, [field: string]: any }} Node of the syntax, as in ESTree */

const FUNCTION = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/;

/** Code that does not run when the code around it does: a function, or the value of a field of objects. @param {Node} node @param {string} field */
const waits = (node, field) => FUNCTION.test(node.type) || (node.type === "PropertyDefinition" && field === "value" && !node["static"]);

/** @typedef {{ parent: Node | undefined, isInFunction: boolean }} Place */

/** @param {Node} node @param {(node: Node, place: Place) => void} take @param {Place} place */
function visit(node, take, place) {
  take(node, place);
  for (const field in node) {
    const value = node[field];
    if (typeof value !== "object") continue;
    const inner = { parent: node, isInFunction: place.isInFunction || waits(node, field) };
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === "string") visit(child, take, inner);
  }
}

/** @param {Node | null | undefined} node @returns {string | undefined} the chunk that it loads */
function chunkOf(node) {
  return node?.type === "CallExpression" && node["callee"].name === "require" ? node["arguments"][0].value : undefined;
}

/** Of a declaration such as `const require_tree = require("./tree.js");`. @param {Node} node @returns {[name: string, path: string] | undefined} */
function importOf({ type, declarations }) {
  const { id, init } = (type === "VariableDeclaration" && declarations.length === 1 && declarations[0]) || {};
  const path = chunkOf(init);
  return path === undefined ? undefined : [id.name, path];
}

/** Other places of a name are no uses: a property of something else, or of an object that is written down. @param {Node | undefined} parent @param {Node} node */
const isName = (parent, node) => (parent?.["property"] === node || parent?.["key"] === node) && !parent["computed"];

/**
 * The same text, with late loads of some chunks.
 * @param {string} code of a chunk, as CommonJS
 * @param {{ name: string, find: (imported: string) => string | undefined, held: readonly string[] }} chunk its name; the path of a late chunk that
 *   it imports; the paths of all chunks that these load and it does not
 * @returns {string}
 * @throws if the text would load a late chunk when it is loaded itself
 */
export function loadLate(code, { name: chunk, find, held }) {
  const program = parseAst(code);
  /** @type {Map<string, string>} */
  const late = new Map();
  /** @type {{ start: number, end: number, text: string }[]} */
  const edits = [];
  for (const node of /** @type {Node[]} */ (program.body)) {
    const [name, imported] = importOf(node) ?? [undefined, chunkOf(node["expression"])];
    const path = imported === undefined ? undefined : find(imported);
    if (path === undefined) continue;
    if (name !== undefined) late.set(name, path);
    edits.push({ ...node, text: "" });
  }
  const isRemoved = (/** @type {Node} */ { start }) => edits.some((edit) => edit.text === "" && edit.start <= start && start < edit.end);
  visit(
    program,
    (node, { parent, isInFunction }) => {
      const used = node.type === "Identifier" && !isName(parent, node) ? late.get(node["name"]) : undefined;
      const path = used ?? find(chunkOf(node) ?? "");
      if (path === undefined || isRemoved(node)) return;
      if (!isInFunction) throw new Error(`bundle: ${chunk} uses ${path} while it is loaded itself: use it in a function`);
      if (used !== undefined) edits.push({ ...node, text: `__late.${node["name"]}` });
    },
    { parent: undefined, isInFunction: false },
  );
  const text = edits
    .sort((one, other) => other.start - one.start)
    .reduce((whole, edit) => whole.slice(0, edit.start) + edit.text + whole.slice(edit.end), code);
  return late.size === 0
    ? text
    : `const __late = require.late(${JSON.stringify(Object.fromEntries(late))}, ${JSON.stringify(held)});\n${text}`;
}
