// Draws what a terminal showed as an SVG picture: commands and prompts in green, refusals in red.
const FONT_PX = 13;
const LINE_PX = 18;
const CHARACTER_PX = 7.83;
const MARGIN_PX = 16;

/** @param {string} text */
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @param {string} line */
function colorOf(line) {
  if (/^(\(.*\) )?\$ /.test(line)) return "#7ee787";
  if (/denied|^effect +deny|No such file/i.test(line)) return "#ff7b72";
  return "#e6edf3";
}

/** @param {string} text @returns {string} */
export function pictureOf(text) {
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd());
  const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER_PX) + 2 * MARGIN_PX;
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const rows = lines.map(
    (line, at) =>
      `<text x="${MARGIN_PX}" y="${MARGIN_PX + LINE_PX * at + FONT_PX}" fill="${colorOf(line)}" xml:space="preserve">${escaped(line)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"
  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT_PX}">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${rows.join("\n")}
</svg>
`;
}
