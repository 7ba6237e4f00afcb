// The prose in a source file: its comments, the names of its tests, and its messages and help texts. Each block is a
// paragraph for textlint, with the offsets of the source. Knows no rule.
import { parseSync } from "rolldown/utils";

/**
 * A piece of a block: text to read, or code in its midst that stands for a noun.
 * @typedef {{ start: number, end: number, code?: boolean }} Piece
 * @typedef {"comment" | "message" | "test name" | "suite name"} Kind
 * @typedef {{ kind: Kind, pieces: Piece[] }} Block
 * @typedef {{ start: number, end: number, type: string, [key: string]: unknown }} SyntaxNode
 * @typedef {{ start: number, end: number }} Range
 */

const TYPESCRIPT = /\.(ts|mts|mjs)$/;
const C = /\.(c|h|cc|proto)$/;

/**
 * @param {string} path decides about the language, and whether strings are names of tests or messages
 * @param {string} source
 * @returns {Block[]} by offset
 */
export function blocksOf(path, source) {
  if (TYPESCRIPT.test(path)) return typescriptBlocks(path, source);
  return commentBlocks(source, C.test(path) ? commentsInC(source) : commentsByHash(source));
}

/** @param {string} path @param {string} source */
function typescriptBlocks(path, source) {
  const { program, comments, errors } = parseSync(path, source);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}: mend the syntax first`);
  const strings = isTest(path) ? testNames(program, source) : speaksToUsers(path) ? messages(program, source) : [];
  return [...commentBlocks(source, comments), ...strings].sort((a, b) => (a.pieces[0]?.start ?? 0) - (b.pieces[0]?.start ?? 0));
}

/** @param {string} path */
const isTest = (path) => /\.test\.m?ts$/.test(path);
/** @param {string} path */
const speaksToUsers = (path) => /^(packages\/(?!dev\/|testkit\/)|services\/)/.test(path);

/** @param {string} source @returns {Range[]} */
function commentsInC(source) {
  const tokens = source.matchAll(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g);
  return [...tokens].filter(([text]) => text.startsWith("/")).map(({ 0: text, index }) => ({ start: index, end: index + text.length }));
}

/** Comments that have their line for themselves: shell, YAML, Dockerfiles. @param {string} source @returns {Range[]} */
function commentsByHash(source) {
  return [...source.matchAll(/^[ \t]*(#[^!\n].*)$/gm)].map(({ 0: text, index }) => ({
    start: index + text.indexOf("#"),
    end: index + text.length,
  }));
}

/**
 * Joins line comments that follow one another, and splits all at empty lines, list items and tags.
 * @param {string} source @param {readonly Range[]} comments
 */
function commentBlocks(source, comments) {
  /** @type {Block[]} */
  const blocks = [];
  let lastEnd = -1;
  for (const comment of comments) {
    const joins = lastEnd >= 0 && /^\n[ \t]*$/.test(source.slice(lastEnd, comment.start));
    let open = joins ? blocks.at(-1) : undefined;
    for (const { piece, starts } of linesOf(source, comment)) {
      if (!piece) open = undefined;
      else if (open && !starts) open.pieces.push(piece);
      else blocks.push((open = { kind: "comment", pieces: [piece] }));
    }
    lastEnd = source[comment.start + 1] === "*" ? -1 : comment.end;
  }
  return blocks;
}

const DIRECTIVE = /^(oxlint|eslint|biome|@ts-|clang-format|#|[-=*─│┌└├┐┘┤▼▲\s]*$)|[│┌└├┐┘┤▼▲]/;

/**
 * The lines of a comment without their marks: no piece for an empty line, `starts` for one that begins a thought of its own.
 * @param {string} source @param {Range} comment
 * @returns {{ piece?: Piece, starts: boolean }[]}
 */
function linesOf(source, { start, end }) {
  const text = source.slice(start, end).replace(/\*\/$/, "");
  return [...text.matchAll(/[^\n]+|(?<=\n)(?=\n)/g)].map(({ 0: line, index }) => {
    const mark = /^[ \t]*(\/\*+|\/\/+|\*|#+)?[ \t]*/.exec(line)?.[0].length ?? 0;
    const content = line.slice(mark).trimEnd();
    if (content === "" || DIRECTIVE.test(content)) return { starts: true };
    const lead = /^(@\w+\s*(\{.*\})?\s*(\[?[\w.$]+\]?)?\s*|[-*•]\s+|\d+[.)]\s+)/.exec(content)?.[0].length ?? 0;
    const from = start + index + mark;
    if (lead === content.length) return { starts: true };
    return { piece: { start: from + lead, end: from + content.length }, starts: lead > 0 };
  });
}

/** Calls visit() with each node below `node`, itself first. @param {unknown} node @param {(node: SyntaxNode) => boolean} visit */
function walk(node, visit) {
  if (Array.isArray(node)) return node.forEach((item) => walk(item, visit));
  if (typeof node !== "object" || node === null) return;
  if (typeof (/** @type {SyntaxNode} */ (node).type) === "string" && !visit(/** @type {SyntaxNode} */ (node))) return;
  for (const value of Object.values(node)) walk(value, visit);
}

/** Not an event, on("data", …), and no policy or script. @param {string} text */
const readsLikeAName = (text) => /^[^\\{}\n]+ [^\\{}\n]+ [^\\{}\n]+$/.test(text);

/** Calls with a name and a function, as test("…", () => …). A requirement may have a name of its own: `onUring("…", …)`. @param {unknown} program @param {string} source */
function testNames(program, source) {
  /** @type {Block[]} */
  const found = [];
  // `await eventually("the file is gone", …)` names no test.
  const awaited = new Set();
  walk(program, (node) => {
    if (node.type === "AwaitExpression") awaited.add(node["argument"]);
    if (awaited.has(node)) return true;
    const [name, ...others] = /** @type {SyntaxNode[]} */ (node.type === "CallExpression" ? node["arguments"] : []);
    if (!name || !others.some(({ type }) => /Function/.test(type))) return true;
    const pieces = piecesOf(name);
    const callee = calleeOf(node);
    const names =
      /\b(describe|suite|it|test)\b/.test(callee) || pieces.some((piece) => readsLikeAName(source.slice(piece.start, piece.end)));
    const kind = /describe|suite/.test(callee) ? "suite name" : "test name";
    if (names && pieces.some((piece) => !piece.code)) found.push({ kind, pieces });
    return true;
  });
  return found;
}

/** @param {SyntaxNode} call @returns {string} */
function calleeOf(call) {
  const names = JSON.stringify(call["callee"], (key, value) => (key === "arguments" ? undefined : value));
  return [...names.matchAll(/"name":"(\w+)"/g)].map(([, name]) => name).join(".");
}

const WORDS_OF_A_MESSAGE = 5;

/** Strings that read like a sentence. @param {unknown} program @param {string} source */
function messages(program, source) {
  /** @type {Block[]} */
  const found = [];
  walk(program, (node) => {
    if (node.type === "ImportDeclaration") return false;
    const pieces = piecesOf(node);
    if (pieces.length === 0) return true;
    const text = pieces.map((piece) => (piece.code ? "x" : source.slice(piece.start, piece.end))).join("");
    if (
      /^[\w\s"'(`.…:;,)/<>|%–—=?!-]+$/u.test(text) &&
      text.split(/\s+/).filter((word) => /^\W?[a-z]{2,}\W*$/i.test(word)).length >= WORDS_OF_A_MESSAGE
    )
      found.push({ kind: "message", pieces });
    return node.type === "TemplateLiteral";
  });
  return found;
}

/** A string literal, a template, or a sum of them; none for anything else. @param {SyntaxNode} node @returns {Piece[]} */
function piecesOf(node) {
  if (node.type === "Literal" && typeof node["value"] === "string") return [{ start: node.start + 1, end: node.end - 1 }];
  if (node.type === "TemplateLiteral") return templatePieces(node);
  if (node.type !== "BinaryExpression" || node["operator"] !== "+") return [];
  const sides = /** @type {SyntaxNode[]} */ ([node["left"], node["right"]]);
  const pieces = sides.map(piecesOf);
  if (pieces.every((side) => side.length === 0)) return [];
  return pieces.flatMap((side, at) => (side.length > 0 ? side : [{ start: sides[at]?.start ?? 0, end: sides[at]?.end ?? 0, code: true }]));
}

/** The marks around a text belong to it: "`a${", "}b`". @param {SyntaxNode} template @returns {Piece[]} */
function templatePieces(template) {
  const texts = /** @type {SyntaxNode[]} */ (template["quasis"]).map((text) => ({
    start: text.start + 1,
    end: text.end - (text["tail"] ? 1 : 2),
  }));
  const values = /** @type {SyntaxNode[]} */ (template["expressions"]).map(({ start, end }) => ({ start, end, code: true }));
  return [...texts, ...values].filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start);
}
