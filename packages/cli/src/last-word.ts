/** The last word of a process that ended: the line of its error, out of the pages that Node writes around it. */
const ERROR = /^(?:sluice: |FATAL ERROR: |\w*Error\b)/;

/** Without the name of an error class; "" if it wrote nothing. */
export function lastWord(text: string): string {
  const lines = text.trim().split("\n");
  const said = lines.find((line) => ERROR.test(line)) ?? lines.at(-1) ?? "";
  return said.replace(/^(?:sluice: |\w*Error(?: \[\w+\])?: )/, "").trim();
}
