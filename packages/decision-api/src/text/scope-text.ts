/** For which paths an answer holds, as words for a person. */

/** More globs than these are counted. */
const SHOWN = 4;

/** `subtree` and `except` as in `CacheScope`, in a form that can be printed. */
export function scopeText(subtree: string | undefined, except: readonly string[]): string {
  if (subtree === undefined) return "for this file";
  const place = `for all of '${subtree}/'`;
  if (except.length === 0) return place;
  const globs = except.slice(0, SHOWN).map((glob) => `'${glob}'`);
  const more = except.length - globs.length;
  return `${place} except ${globs.join(", ")}${more > 0 ? ` and ${more} more globs` : ""}`;
}
