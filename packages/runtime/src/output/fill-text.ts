/** Fills the paragraphs of a help text for the width at hand. */

function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * Fills each paragraph that has a line beyond `width`. Indented lines stay as they are: examples, which people copy, and lists. So do
 * paragraphs that fit.
 */
export function fillText(text: string, width: number): string {
  const filled: string[] = [];
  let paragraph: string[] = [];
  const end = (): void => {
    const fits = paragraph.every((line) => line.length <= width);
    filled.push(...(fits ? paragraph : wrap(paragraph.join(" ").split(" "), width)));
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    const belongs = line !== "" && !line.startsWith(" ");
    if (belongs) paragraph.push(line);
    else {
      end();
      filled.push(line);
    }
  }
  end();
  return filled.join("\n");
}
