/** `sluice diff`: the changes of a session, or of an upper layer. */
import { existsSync } from "node:fs";
import { escapeName, unfit, wrong } from "@sluice/runtime/cli";
import type { Session } from "@sluice/sessions";
import { type Command, Option } from "commander";
import { type Change, walkUpper } from "@sluice/layer-tools";
import { mountAt, readMountTable, realMountpoint } from "@sluice/mount-control";
import { toText } from "@sluice/native";
import { addLayerOptions, layersOf, type LayersArguments, stackOf } from "./layers-argument.js";
import { controlOption } from "./shared-options.js";
import type { ReviewForm } from "../review/show-changes.js";

type DiffArguments = LayersArguments & ReviewForm & { web?: boolean };

const LETTERS: Readonly<Record<Change["kind"], string>> = {
  added: "A",
  modified: "M",
  deleted: "D",
  opaque: "O",
  metadata: "m",
  copied: "c",
};

export function changeLine(change: Change): string {
  const slash = change.type === "directory" ? "/" : "";
  const from = change.from === undefined ? "" : ` (from ${escapeName(change.from)})`;
  return `${LETTERS[change.kind]} ${escapeName(change.path)}${slash}${from}\n`;
}

/** For programs: names as text, without escapes. */
function plain({ path, from, ...change }: Change): Change {
  return { ...change, path: toText(path), ...(from === undefined ? {} : { from: toText(from) }) };
}

const NOTHING = "there is neither a session nor a mount point with this name (ENOENT)";

/** With the library for patches: other commands do not load it. */
const reviews = () => Promise.all([import("../review/session-changes.js"), import("../review/show-changes.js")]);

async function showOnWeb(session: Session, words: readonly string[]): Promise<true> {
  await session.lock();
  const { soleUpper } = await import("../review/session-changes.js");
  await (await import("../review/serve-review.js")).serveReview(session, await soleUpper(session), words);
  return true;
}

/** The mount itself is not looked at: its server may hang. */
const isMounted = (path: string): boolean => mountAt(realMountpoint(path), readMountTable()) !== undefined;

/** Undefined unless the first word names a session. A session that runs is not recovered: its runner has done that. */
async function diffSession(target: string | undefined, words: readonly string[], args: DiffArguments): Promise<true | undefined> {
  if (target === undefined || target.includes("/")) return undefined;
  const [{ findSession, placeOf, recoverSession, reviewSession }, { showReview }] = await reviews();
  (await import("@sluice/sessions")).becomeOwner();
  const session = findSession(target);
  if (session === undefined && !isMounted(target) && !existsSync(target)) throw unfit(target || '""', NOTHING, "see 'sluice sessions'");
  if (session === undefined) return undefined;
  if (args.upper !== undefined || args.lower !== undefined) throw wrong("diff", "a session and layers are given", "give one of the two");
  if (args.web === true) return showOnWeb(session, words);
  const runs = session.isRunning();
  if (!runs) await session.lock();
  if (!runs) recoverSession(session);
  await showReview(await reviewSession(placeOf(session), words), args);
  return true;
}

async function diff(target: string | undefined, words: readonly string[], args: DiffArguments): Promise<void> {
  if ((await diffSession(target, words, args)) === true) return;
  if (args.web === true) throw wrong("--web", "it shows the changes of a session", "name a session, as in 'sluice sessions'");
  const layers = await layersOf("diff", target, args);
  if (words.length > 0 || args.patch === true || args.stat === true || args.nameOnly === true) {
    const [{ review }, { showReview }] = await reviews();
    return showReview(review(stackOf(layers), layers.upper.path, words), args);
  }
  const changes = walkUpper(layers.upper, layers.lowers);
  if (args.json === true) {
    process.stdout.write(`${JSON.stringify(Array.from(changes, plain), null, 2)}\n`);
    return;
  }
  for (const change of changes) process.stdout.write(changeLine(change));
}

const LEGEND = `
The changes of a session: A added, M modified, D deleted, R renamed, T of another type, m only mode, owner or attributes changed,
? below a mount, so not compared.
"changed underneath" marks a file that somebody changed in the directory itself since the session has it. Contents are compared, and
everything that an opaque directory hides is listed as deleted. A path selects what lies in it, and '!PATTERN' leaves out: '!*.lock'
matches a name anywhere, '!src/*.c' a path.

The changes of a layer: A added, M modified, D deleted, O replaced as a whole (opaque), m only mode or owner changed, c copied up without
a change. With paths or one of -p, --stat and --name-only they are shown as those of a session are.

Control characters in a name are escaped as in $'...' of a shell: \\n, \\033, \\\\. --json has the names without escapes.

Examples:
  sluice diff brave-otter
  sluice diff -p brave-otter src -- '!*.lock' | git apply
  sluice diff --web brave-otter
`;

export function addDiffCommand(program: Command): void {
  addLayerOptions(
    program
      .command("diff")
      .description("list the changes of a session or of an upper layer")
      .argument("[target]", "a session, or the mount point of a layer")
      .argument("[paths...]", "only changes in these paths; '!PATTERN' leaves out"),
  )
    .option("-p, --patch", "as a patch for 'git apply', binary files included")
    .option("--stat", "the number of lines of each change")
    .option("--name-only", "only the paths, both of a renamed file")
    .option("--json", "as JSON")
    .addOption(
      new Option("--web", "show the changes of a session in a browser on this machine, to apply or discard them there").conflicts([
        "patch",
        "stat",
        "nameOnly",
        "json",
      ]),
    )
    .addOption(controlOption())
    .addHelpText("after", LEGEND)
    .action(diff);
}
