// The rules of plain English that a program can hold, as data: words, clauses, conditions, test names, columns.
// rules.mjs applies them; ceilings.json says how many findings a folder may still have.

/** Lines of documentation are at most this long. Tables are exempt: Markdown cannot wrap a row. */
export const COLUMNS = 100;

/**
 * Words and phrases to avoid, with their replacement.
 * @type {readonly { avoid: RegExp, instead: string }[]}
 */
export const WORDS = [
  { avoid: /\banew\b/, instead: "again, or a verb with re-: recreated" },
  { avoid: /\bafresh\b/, instead: "again, or a verb with re-" },
  { avoid: /\bverdicts?\b/, instead: "decision" },
  { avoid: /\bnonsense\b/, instead: "malformed, or invalid" },
  { avoid: /\bbut for (what|those|whoever|an?|the|its|one|where|when)\b/, instead: "except, or unless" },
  { avoid: /\b(that|which) (is|are) none\b/, instead: "that does not exist, or invalid, or unknown" },
  { avoid: /\bcom(e|es|ing) to serve\b/, instead: "is ready" },
  { avoid: /\bwhat becomes of\b/, instead: "what happens to" },
  { avoid: /\b(what )?came of (it|them|that)\b/, instead: "the result" },
  { avoid: /\bin the place of\b/, instead: "instead of, or replaces" },
  { avoid: /\ball the same\b/, instead: "anyway, or still" },
  { avoid: /\b(he|him|his|himself)\b/, instead: "they, or the role: the caller, the user, the attacker" },
  {
    avoid: /\b(whence|hitherto|thereof|therein|thereby|whereof|lest|ere)\b/,
    instead: "a plain word: from which, so far, of it, so that … not",
  },
];

/** Verbs and nouns that may be followed by an indirect question: "explain what a rule holds". */
export const ASKING =
  /\b(ask(s|ed|ing)?|says?|said|saying|tells?|told|telling|shows?|showed|shown|showing|knows?|knew|known|knowing|unknown|sees?|saw|seen|explain(s|ed|ing)?|describ(es?|ed|ing)|decid(es?|ed|ing)|learn(s|ed|ing)?|(find|found|finds|finding)( \w+)? out|prints?|printed|reports?|reported|check(s|ed)?|compar(es?|ed)|depend(s|ed|ing)?|documents|documented|matters?|defin(es?|ed)|understand(s|ing)?|understood|choos(es?|ing)|chose|chosen|remember(s|ed)?|guess(es|ed)?|determin(es?|ed)|notic(es?|ed)|specif(y|ies|ied)|wonder|sure|questions?|regardless|idea|prov(es?|ed)|look(s|ed|ing)? (at|up|whether)|watch(es)?|learns?|clear|forg[eo]ts?)\b/i;

/** Nouns of place, after which "where" is about a place. */
export const PLACES =
  /\b(places?|director(y|ies)|folders?|files?|paths?|offsets?|points?|lines?|positions?|layers?|machines?|kernels?|hosts?|there|to|from|is|are|exactly|just|of|address(es)?|processor|thread|namespaces?|cases?|situations?|steps?|turns?|state|spots?|rows?|tables?)\s*$/i;

/** The start of a test name that nobody understands without its neighbours. */
export const LEANING_START =
  /^(it|they|this|that|these|those|so|and|but|or|then|also|neither|nor|ones?(?= (that|who|whose|which|with|of|is|in))|others?|the (others?|same|rest)|nothing else|as|here|else|otherwise|even|yet|still|too)\b/i;

/** The end of a test name that points at its neighbours. */
export const LEANING_END = /[,\s](too|either|as well|likewise)$/i;
