/** The view of `sluice top`: sorting, filter and pause, as set by keys. */

/** The orders of tables: by count, by errors and denials, or by duration. */
export const SORTS = ["most", "errors", "slowest"] as const;
export type Sort = (typeof SORTS)[number];

export interface View {
  sort: Sort;
  /** Shows rules, paths and copy-ups whose name contains this; "": all. */
  filter: string;
  /** The user is typing the filter. */
  typing: boolean;
  paused: boolean;
}

export const FIRST_VIEW: View = { sort: "most", filter: "", typing: false, paused: false };

/** Control-C, D and \: in raw mode the terminal sends no signals for them. */
const ENDING: readonly string[] = ["\u0003", "\u0004", "\u001c"];
const ESCAPE = "\u001b";
const RUBOUT: readonly string[] = ["\u007f", "\b"];
const ENTER: readonly string[] = ["\r", "\n"];
/** Control-U. */
const KILL_LINE = "\u0015";

function typed(view: View, key: string): View {
  if (ENTER.includes(key)) return { ...view, typing: false };
  if (key === ESCAPE) return { ...view, typing: false, filter: "" };
  if (RUBOUT.includes(key)) return { ...view, filter: Array.from(view.filter).slice(0, -1).join("") };
  if (key === KILL_LINE) return { ...view, filter: "" };
  return /\p{Cc}/u.test(key) ? view : { ...view, filter: view.filter + key };
}

/** Applies a key to the view. An unknown key changes nothing. */
export function pressed(view: View, key: string): View | "end" {
  if (ENDING.includes(key)) return "end";
  if (view.typing) return typed(view, key);
  switch (key) {
    case "q":
      return "end";
    case "p":
    case " ":
      return { ...view, paused: !view.paused };
    case "s":
      return { ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] as Sort };
    case "/":
      return { ...view, typing: true };
    case ESCAPE:
      return { ...view, filter: "" };
    default:
      return view;
  }
}

/** The line of keys and their current settings. */
export function keyLine({ sort, filter, typing, paused }: View): string {
  if (typing) return `filter: ${filter}_   (Enter keeps it, Esc takes it away)`;
  const filtering = filter === "" ? "/ filters" : `/ filters: "${filter}", Esc takes it away`;
  return `${paused ? "PAUSED, p goes on" : "p pauses"}; s sorts: ${sort} first; ${filtering}; q ends`;
}
