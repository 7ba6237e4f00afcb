// One question to the policy in force and, where there is one, to a candidate; the rule that decided is marked in the source.
import { element, post } from "./server.js";

const at = (id) => document.getElementById(id);

/** The lines of the rule, from its dash to the next one. Undefined where the source does not name it. */
function linesOfRule(source, rule) {
  const lines = source.split("\n");
  const quoted = rule.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = rule === "default" ? /^default\s*:/ : new RegExp(`name\\s*:\\s*["']?${quoted}["']?\\s*([,}#]|$)`);
  const named = lines.findIndex((line) => pattern.test(line));
  if (named < 0) return undefined;
  if (rule === "default") return [named, named];
  const isStart = (line) => /^\s*-\s/.test(line);
  let from = named;
  while (from > 0 && !isStart(lines[from])) from--;
  let to = named;
  while (to + 1 < lines.length && !isStart(lines[to + 1]) && /^\s+\S/.test(lines[to + 1])) to++;
  return [from, to];
}

/** The source in the page; undefined before the first one, and null if it is no file of the service. */
let source;

function showSource(rule) {
  const pre = at("source");
  if (source === null) {
    pre.replaceChildren(element("span", "the source is not a file of this service"));
    return;
  }
  const range = rule === undefined ? undefined : linesOfRule(source, rule);
  const spans = source
    .split("\n")
    .map((line, index) => element("span", line, range && index >= range[0] && index <= range[1] ? "hit" : ""));
  pre.replaceChildren(...spans);
  const hit = pre.querySelector(".hit");
  if (hit !== null) hit.scrollIntoView({ block: "nearest" });
}

const ERRNOS = { 1: "EPERM", 2: "ENOENT", 13: "EACCES" };

function described(title, ruling) {
  const part = document.createElement("div");
  const list = document.createElement("dl");
  const say = (term, text, className) => list.append(element("dt", term), element("dd", text, className));
  say(
    "Effect",
    ruling.errno === 0 ? ruling.effect : `${ruling.effect} (${ERRNOS[ruling.errno] ?? `errno ${ruling.errno}`})`,
    ruling.effect,
  );
  say("Rule", ruling.rule);
  say("Reason", ruling.reason);
  for (const { name, value } of ruling.obligations) say("Obligation", `${name}: ${value}`);
  say("A mount may cache it", ruling.cachedFor);
  part.append(element("h3", title), list);
  return part;
}

/** The source is that of the file, and so of an edit that was refused, too. */
export function showPolicy(newest, isRefused) {
  const title = isRefused ? "The policy file, whose newest edit is not in force" : "The policy in force";
  if (at("source-title").textContent !== title) at("source-title").textContent = title;
  if (newest === source) return;
  source = newest;
  showSource(undefined);
}

export function startPlayground(state, tell) {
  at("a-access").replaceChildren(...state.accesses.map((access) => element("option", access)));
  at("copy-source").addEventListener("click", () => {
    at("a-candidate").value = source ?? "version: 1\ndefault: grant\n";
  });
  const ask = async () => {
    const candidate = at("a-candidate").value;
    const executable = at("a-executable").value;
    try {
      const answer = await post("ask", {
        path: at("a-path").value,
        access: [at("a-access").value],
        uid: Number(at("a-uid").value),
        gid: Number(at("a-gid").value),
        ...(executable === "" ? {} : { executable }),
        ...(candidate.trim() === "" ? {} : { candidate }),
      });
      const parts = [described("The policy in force says", answer.inForce)];
      if (answer.candidate !== null) parts.push(described("The candidate says", answer.candidate));
      at("answer").replaceChildren(...parts);
      source = answer.source;
      showSource(answer.inForce.rule);
      tell(undefined);
    } catch (error) {
      tell(error);
    }
  };
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    void ask();
  });
}
