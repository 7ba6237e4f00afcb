/** Lists in the form of overlayfs: a backslash escapes a separator inside a name, and another backslash. */

/**
 * Splits at `separator`. With `unescape` false the escapes stay, for a list inside a list (`-o lowerdir=a\:b:c,upperdir=…`).
 * Empty pieces stay: the caller decides on their meaning.
 */
export function splitEscaped(text: string, separator: string, unescape: boolean): string[] {
  const pieces: string[] = [];
  let piece = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (character === "\\" && at + 1 < text.length) {
      at++;
      piece += unescape ? text[at] : character + text[at];
    } else if (character === separator) {
      pieces.push(piece);
      piece = "";
    } else {
      piece += character;
    }
  }
  pieces.push(piece);
  return pieces;
}

export function unescapeName(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}
