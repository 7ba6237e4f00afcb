// Types into `sluice run -- bash` as a person would: changes files, looks for a secret, reviews, applies half of the changes, discards the
// rest and undoes. Draws what the terminal showed: docs/pictures/review.svg. Run by hand after a build, as root or as an ordinary user:
// node packages/dev/record-review.mjs [PICTURE]
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ReadStream } from "node:tty";
import { native } from "../native/dist/index.js";
import { root } from "./build.mjs";
import { pictureOf } from "./terminal-picture.mjs";

const CLI = join(root, "packages/cli/bin/sluice.cjs");
const FILES = { "notes.txt": "buy milk\n", "old.log": "start\nstop\n", "draft.md": "# Draft\n\nto do\n", ".env": "TOKEN=hunter2\n" };
const PROMPT = "(bash) $ ";
const QUESTION = "[d]iscard ? ";
const SIZE = new Uint16Array([24, 80, 0, 0]);

const scratch = mkdtempSync(join(tmpdir(), "sluice-record-"));
const project = join(scratch, "project");
const env = { ...process.env, XDG_STATE_HOME: join(scratch, "state"), HOME: scratch, PS1: PROMPT, TERM: "dumb" };

/** @typedef {{ at: string, typed: string }} Turn Text to type when the terminal shows `at` once more. */

/** @type {readonly Turn[]} */
const TURNS = [
  { at: PROMPT, typed: "cat .env" },
  { at: PROMPT, typed: "echo 'call Ada' >> notes.txt; rm old.log; mv draft.md guide.md" },
  { at: PROMPT, typed: "exit" },
  { at: QUESTION, typed: "r" },
  { at: QUESTION, typed: "s" },
  { at: "[q]uit ? ", typed: "y" },
  { at: "[q]uit ? ", typed: "n" },
  { at: "[q]uit ? ", typed: "y" },
];

/** @param {readonly string[]} words @returns {Promise<string>} the text on the terminal */
function typeInto(words) {
  const ends = new Int32Array(2);
  if (native.openPty(ends) < 0) throw new Error("no pseudo-terminal");
  const [near = -1, far = -1] = ends;
  native.setTerminalSize(near, SIZE);
  const child = spawn("setsid", ["--ctty", process.execPath, CLI, ...words], { cwd: project, env, stdio: [far, far, far] });
  native.close(far);
  const stream = new ReadStream(near);
  const left = [...TURNS];
  let shown = "";
  let read = 0;
  stream.on("error", () => undefined);
  stream.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
    shown += text.replaceAll("\r", "");
    const [turn] = left;
    if (turn === undefined || !shown.slice(read).endsWith(turn.at)) return;
    left.shift();
    read = shown.length;
    stream.write(`${turn.typed}\n`);
  });
  return new Promise((resolve, reject) =>
    child.once("close", (code) => {
      stream.destroy();
      if (code === 0 && left.length === 0) resolve(shown);
      else reject(new Error(`exit code ${code}, ${left.length} turns left:\n${shown}`));
    }),
  );
}

/** @param {readonly string[]} words @returns {string} the command and its output */
function run(words) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, ...words], { cwd: project, env, encoding: "utf8" });
  if (status !== 0) throw new Error(`sluice ${words.join(" ")}: ${stderr}`);
  return `$ sluice ${words.join(" ")}\n${stderr}${stdout}`;
}

try {
  mkdirSync(project);
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(project, name), content);
  const reviewed = await typeInto(["run", "--", "bash", "--norc"]);
  const name = /session (\S+)/.exec(reviewed)?.[1] ?? "";
  const after = [run(["diff", name]), run(["discard", name]), run(["undo"])];
  // Not shown. It also removes what only root or `sluice` can remove.
  run(["discard", name]);
  for (const [file, content] of Object.entries(FILES))
    if (readFileSync(join(project, file), "utf8") !== content) throw new Error(`${file} is not as it was`);
  const text = `$ sluice run -- bash\n${reviewed}${after.join("")}`.replaceAll(scratch, "~");
  writeFileSync(process.argv[2] ?? join(root, "docs/pictures/review.svg"), pictureOf(text));
  process.stdout.write(text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
