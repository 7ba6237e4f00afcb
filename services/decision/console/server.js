// Calls to the service. The token is kept for this tab alone, and travels in a header.
import { shownName, shownText } from "./names.js";

const KEY = "sluice-token";

export class Refused extends Error {}
/** Nothing answers. */
export class Unreachable extends Error {}

/** A header holds no other characters, so they are no token. */
export const keepToken = (token) => sessionStorage.setItem(KEY, /^[ -~]+$/.test(token) ? token : "");
export const hasToken = () => sessionStorage.getItem(KEY) !== null;

function headers() {
  const token = sessionStorage.getItem(KEY);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/** Rejects with `Unreachable`. */
function send(call, options) {
  return fetch(`api/${call}`, options).catch(({ message }) => {
    throw new Unreachable(message);
  });
}

async function checked(response) {
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `status ${response.status}` }));
  throw response.status === 401 ? new Refused(error) : new Error(error);
}

export async function get(call, signal) {
  return (await checked(await send(call, { headers: headers(), signal }))).json();
}

export async function post(call, body) {
  const options = { method: "POST", headers: { ...headers(), "content-type": "application/json" }, body: JSON.stringify(body) };
  return (await checked(await send(call, options))).json();
}

/** Calls `take` with each value, until the stream ends. Rejects if it is aborted. */
export async function follow(call, take, signal) {
  const response = await checked(await send(call, { headers: headers(), signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line !== "") take(JSON.parse(line));
  }
}

/** An element with text: never markup, and no character that hides or turns others, since paths are chosen by anybody. */
export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = className === "path" ? shownName(text) : shownText(text);
  if (className !== "") made.className = className;
  return made;
}

export function fill(body, rows) {
  body.replaceChildren(...rows);
}

export function tableRow(cells) {
  const row = document.createElement("tr");
  row.append(...cells.map(([text, className]) => element("td", String(text), className)));
  return row;
}

/** The row, and each of its cells knows the name of its column, which a narrow window shows beside it. */
export function named(row, columns) {
  for (const [index, cell] of [...row.cells].entries()) cell.dataset.column = columns[index];
  return row;
}

/** A table with more columns shows each row as a list if the window is narrow. */
const MOST_COLUMNS = 4;

/** A table with a caption, its columns named. The name of a column of numbers stands above them, at the right. */
export function table(title, columns, rows) {
  const made = document.createElement("table");
  made.className = columns.length > MOST_COLUMNS ? "wide" : "";
  for (const row of rows) named(row, columns);
  const head = document.createElement("tr");
  const [first] = rows;
  for (const [index, column] of columns.entries()) {
    const cell = element("th", column, first?.cells[index]?.className === "number" ? "number" : "");
    cell.scope = "col";
    head.append(cell);
  }
  made.createTHead().append(head);
  made.createTBody().append(...rows);
  made.prepend(element("caption", title));
  return made;
}
