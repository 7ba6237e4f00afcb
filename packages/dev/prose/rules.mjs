// The rules of style.mjs as rules of textlint. Each looks at one block of prose in which code and quotations are nouns.
import { ASKING, COLUMNS, LEANING_END, LEANING_START, PLACES, WORDS } from "./style.mjs";

/**
 * @typedef {import("@textlint/types").TextlintRuleModule} Rule
 * @typedef {import("@textlint/ast-node-types").AnyTxtNode} AnyNode
 * @typedef {{ text: string, kind: "prose" | "heading" | "comment" | "message" | "test name" | "suite name" }} Block
 * @typedef {{ index: number, message: string }} Finding `index` within the text
 * @typedef {(block: Block) => Finding[]} Finder
 */

/** @param {Block} block @returns {{ text: string, index: number }[]} */
function sentencesOf({ text }) {
  const ends = [...text.matchAll(/[.!?]["')\]]*(?=\s+["'(]?[A-Z]|\s*$)/g)].map(({ 0: mark, index }) => index + mark.length);
  const starts = [0, ...ends.filter((end) => end < text.trimEnd().length)];
  return starts.map((start, at) => ({ index: start, text: text.slice(start, starts[at + 1] ?? text.length) }));
}

/** @param {string} match */
const oneLine = (match) => match.replace(/\s+/g, " ").trim();

/** @type {Finder} */
function avoidedWords({ text }) {
  return WORDS.flatMap(({ avoid, instead }) =>
    [...text.matchAll(new RegExp(avoid.source.replaceAll(" ", "\\s+"), "gi"))].map(({ 0: match, index }) => ({
      index,
      message: `"${oneLine(match)}": write ${instead}`,
    })),
  );
}

const START = /^[\s"'(*–—-]*((who|what)(?!\s+(to|if|else|about)\b)|which(?=\s+(of|is|are|was|were|has|have|had)\b))\b/i;
// After these a question may go on that an earlier verb asks: "says which file it is, and what it holds".
const AFTER_A_BREAK = /([,;:(–—]|\b(?:and|or|but|nor))\s+(who|what)\b(?!\s+(to|if|else|about)\b)/gi;
const AFTER_A_CONJUNCTION = /\b(than|if|since|because|unless|while|until|as|when|that)\s+(who|what)\b/gi;
const OBJECT_WHO =
  /\b(of|for|by|to|from|with|before|after|beside|against|without|like|lets?|keeps?|stops?|wakes?|shuts? out|spares?)\s+who\b/gi;
const OBJECT_WHAT =
  /\b(of|for|by|to|from|with|before|after|beside|against|without|like|on|in|than|as)\s+(what(?!\s+(to|if|else|about)\b)|whoever)\b/gi;
const NOUN_FIRST = "start with a noun: a cached answer, a caller that …";

/** @type {Finder} */
function headlessClauses(block) {
  return sentencesOf(block).flatMap((sentence) => {
    if (/\?\W*$/.test(sentence.text)) return [];
    const found = [AFTER_A_BREAK, AFTER_A_CONJUNCTION, OBJECT_WHO, OBJECT_WHAT].flatMap((opening) =>
      [...sentence.text.matchAll(opening)].filter((match) => !isIndirect(sentence.text, match, opening)),
    );
    const first = isTitle(block) ? null : START.exec(sentence.text);
    return [...(first ? [first] : []), ...found].map(({ index, 0: match }) => ({
      index: sentence.index + index + (match.length - match.trimStart().length),
      message: `"${quote(sentence.text, index)}": ${NOUN_FIRST}`,
    }));
  });
}

/** A heading of a page may be "What a rule costs". @param {Block} block */
const isTitle = ({ kind, text }) => kind === "heading" && !/^\W*who\b/i.test(text);

/** @param {string} sentence @param {RegExpExecArray} match @param {RegExp} opening */
function isIndirect(sentence, { index, 0: match }, opening) {
  const before = sentence.slice(0, index);
  const pronoun = /\bwho$/i.test(match);
  // "A caller who opens a file and who closes it", "the owner, who …".
  if (
    pronoun &&
    opening === AFTER_A_BREAK &&
    (/\bwho(m|se)?\b/i.test(before) ||
      (/^[,(]/.test(match) && !/^\s*(if|when|while|since|after|before|once|unless|where|as)\b/i.test(before)))
  )
    return true;
  if (opening === AFTER_A_CONJUNCTION) return pronoun && /^that\s/i.test(match) ? ASKING.test(before.slice(-30)) : false;
  if (/^[;:]/.test(match)) return ASKING.test(/\S+\s*$/.exec(before)?.[0] ?? "");
  return ASKING.test(opening === OBJECT_WHO || opening === OBJECT_WHAT ? before.slice(-30) : before);
}

/** @param {string} text @param {number} index */
function quote(text, index) {
  return oneLine(text.slice(index).replace(/^[\s,;:(]+/, ""))
    .split(" ")
    .slice(0, 6)
    .join(" ");
}

const CONDITION =
  /\b(?:(but|only|except|even|so|and|or)\s+)?where\s+(there|it|they|that|this|these|those|nothing|nobody|none|no|neither|one|somebody|someone|something|possible|needed|necessary|not)\b/gi;

/** @type {Finder} */
function whereForIf(block) {
  return sentencesOf(block).flatMap((sentence) => {
    if (/\?\W*$/.test(sentence.text)) return [];
    const inside = [...sentence.text.matchAll(CONDITION)].filter(({ index, 1: joint }) => !isPlace(sentence.text, index, joint));
    const first = block.kind === "heading" ? null : /^[\s"'(*]*where(?!\s+(to|things)\b)\b/i.exec(sentence.text);
    return [...(first ? [first] : []), ...inside.filter(({ index }) => !first || index > first[0].length)].map(({ index }) => ({
      index: sentence.index + index,
      message: `"${quote(sentence.text, index)}": write "if" for a condition, "when" for a time`,
    }));
  });
}

/** @param {string} sentence @param {number} index @param {string | undefined} joint */
function isPlace(sentence, index, joint) {
  const before = sentence.slice(0, index);
  if (joint) return ASKING.test(before.slice(-60));
  return PLACES.test(before) || ASKING.test(/\S+\s+\S*\s*$/.exec(before)?.[0] ?? "");
}

/** @type {Finder} */
function namesThatLean({ text, kind }) {
  if (kind !== "test name") return [];
  const name = text.trim();
  const found = [LEANING_START.exec(name), LEANING_END.exec(name)].filter((match) => match !== null);
  const short = found.length === 0 && !/[$%]/.test(name) && name.split(/\s+/).length < 3;
  if (short) return [{ index: 0, message: `"${name}": name the behaviour, readable without its describe()` }];
  return found.map(({ index, 0: match }) => ({ index, message: `"${oneLine(match)}": a test name is readable without its neighbours` }));
}

/** A rule of textlint that applies `find` to each block. @param {Finder} find @returns {Rule} */
function eachBlock(find) {
  return (context) => {
    const visit = visitor(context, (block, node) => {
      for (const { index, message } of find(block)) {
        context.report(node, new context.RuleError(message, { padding: context.locator.at(index) }));
      }
    });
    return visit;
  };
}

/**
 * @param {import("@textlint/types").TextlintRuleContext} context
 * @param {(block: Block, node: AnyNode) => void} read
 */
function visitor({ getSource }, read) {
  /** @param {AnyNode} node */
  const visit = (node) => {
    const titles = node.type === "Header" || (node.type === "TableCell" && isTopRow(node));
    const kind = /** @type {{ kind?: Block["kind"] }} */ (node).kind ?? (titles ? "heading" : "prose");
    read({ kind, text: readable(node, getSource(node)) }, node);
  };
  return { Paragraph: visit, Header: visit, TableCell: visit };
}

/** @param {AnyNode} cell */
function isTopRow(cell) {
  const row = cell.parent;
  return row?.parent !== undefined && "children" in row.parent && row.parent.children[0] === row;
}

/**
 * The text of a node, each character at its offset: marks are spaces, code and quotations are the noun "Xx…".
 * @param {AnyNode} node @param {string} source
 */
function readable(node, source) {
  const characters = [...Array(source.length)].fill(" ");
  /** @param {AnyNode} child */
  const fill = (child) => {
    const from = child.range[0] - node.range[0];
    const text = child.type === "Str" ? child.raw : child.type === "Code" ? noun(child.raw.length) : "";
    for (let at = 0; at < text.length; at++) characters[from + at] = text[at];
    if ("children" in child) child.children.forEach(fill);
  };
  fill(node);
  const spoken = (/** @type {string} */ quoted) => noun(quoted.length);
  return characters
    .join("")
    .replace(/`[^`\n]+`/g, spoken)
    .replace(/"[^"]{1,160}"|“[^”]{1,160}”/g, spoken);
}

/** @param {number} length */
const noun = (length) => "X".padEnd(length, "x");

/** @type {Rule} */
const columns = (context) => ({
  Document(node) {
    let index = 0;
    for (const line of context.getSource(node).split("\n")) {
      if (line.length > COLUMNS && !/^\s*\||^\s*<|^\S*$/.test(line) && /\s/.test(line.slice(COLUMNS - 40))) {
        const message = `${line.length} columns: at most ${COLUMNS}`;
        context.report(node, new context.RuleError(message, { padding: context.locator.at(index) }));
      }
      index += line.length + 1;
    }
  },
});

/** Rules by the name that a finding and ceilings.json use. @type {Readonly<Record<string, Rule>>} */
export const RULES = {
  words: eachBlock(avoidedWords),
  headless: eachBlock(headlessClauses),
  where: eachBlock(whereForIf),
  "test-names": eachBlock(namesThatLean),
};

/** Rules for pages only. @type {Readonly<Record<string, Rule>>} */
export const PAGE_RULES = { columns };

/** A rule that finds nothing, and tells `count` how many words there are. @param {(words: number) => void} count @returns {Rule} */
export const wordCounter = (count) => (context) => visitor(context, ({ text }) => count(text.match(/[A-Za-z][\w'’-]*/g)?.length ?? 0));
