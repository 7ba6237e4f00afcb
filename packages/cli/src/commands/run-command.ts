/** `sluice run`: runs a command on a copy-on-write view of the current directory, and tells of its changes. */
import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { codeOf, errorLine, escapeTextName, EXIT, shellWord, unfit, wrong } from "@sluice/runtime/cli";
import { LEARNING_POLICY, PRESETS, presetFile } from "@sluice/service-decision/presets";
import type { LostView, Serving } from "@sluice/sandbox";
import type { Session } from "@sluice/sessions";
import { native } from "@sluice/native";
import { type Command, Option } from "commander";
import type { EndArguments } from "../review/end-run.js";
import { LEARNS } from "../review/session-policy.js";
import { EarlySignals } from "./sessions/early-signals.js";
import { collect } from "./shared-options.js";

interface RunArguments extends EndArguments {
  name?: string;
  resume?: string;
  policy: string;
  learn?: string | true;
  net: "none" | "host";
  write?: string[];
  readOnly?: string[];
  socket?: string[];
  freeze?: boolean;
  hostService: string;
}

const NOTES = `
Examples:
  sluice run -- bash                                  try something out in this directory
  sluice run --net none -- ./install.sh               without the network
  sluice run --policy policy.yaml --name try1 -- make
  sluice run --learn policy.yaml -- make              find the policy that 'make' needs
  sluice run --resume try1 -- make test               the same files again, with the changes of the session
  sluice run --resume try1@before -- make test        a new session that begins at a checkpoint

The command sees this directory at its own path, with changes that stay in the session. The rest of the file system is
read-only; /tmp is private; /run, other programs' sockets, credentials in $HOME and the session's own files are hidden.
By default the network is the machine's. Nothing changes in the directory itself: see docs/run.md for what this
protects from, and what it does not.

Policies: agent (no secrets are read, and nothing is changed that git, a shell, an editor or a CI service runs), install (no
secrets are read), readonly (no secrets are read, and nothing is changed), or a file; 'sluice policy init agent' writes one to
edit.

Exit codes: that of the command, 128 and the signal's number if a signal ended it, 126 if its program cannot be run, 127 if there is
no such program. Before the command begins: 1 failed, 2 the command line or a file is wrong, 3 the machine lacks something, 4 the session
or the directory is in use or unfit.
After a successful command 5 says that --on-exit apply applied nothing, for conflicts or since all changes are held back; the session has
the changes.
`;

function currentDirectory(): string {
  try {
    return realpathSync.native(process.cwd());
  } catch (error) {
    throw unfit(
      "current directory",
      `it cannot be found (${codeOf(error)})`,
      "change to a directory that exists, and whose path is valid UTF-8",
    );
  }
}

function policyFile(given: string): string {
  if (given === "") throw wrong("--policy", "the name is empty", "name a policy");
  const path = presetFile(given) ?? resolve(given);
  if (!existsSync(path)) throw wrong("--policy", `${given} is neither a file nor one of ${PRESETS.join(", ")} (ENOENT)`, "name a policy");
  return path;
}

/** The command may take hours, and the file is only written behind it. @throws CliError if it cannot be */
function checkWritable(option: string, file: string | true | undefined): void {
  if (file === undefined || file === true) return;
  try {
    const there = statSync(file, { throwIfNoEntry: false });
    accessSync(there === undefined ? dirname(resolve(file)) : file, constants.W_OK);
    if (there?.isDirectory() !== true) return;
  } catch (error) {
    throw wrong(option, `${file} cannot be written (${codeOf(error)})`, "name a file that you can write");
  }
  throw wrong(option, `${file} is a directory (EISDIR)`, "name a file that you can write");
}

/** @throws CliError if a file that is written at the end cannot be */
function checkFiles({ learn, output }: RunArguments): void {
  checkWritable("--learn", learn);
  checkWritable("--output", output);
}

/** A command of the session may have closed the directory to its user. Root may enter each. @throws CliError */
function checkEntrance({ name, base, upper }: Session): void {
  try {
    accessSync(upper, constants.X_OK);
  } catch (error) {
    throw unfit(
      base,
      `a command of session ${name} closed the directory to you (${codeOf(error)})`,
      `run: chmod u+rwx ${shellWord(upper)}`,
    );
  }
}

/** The command failed, or one that ended well lost changes. */
function endOf(exitCode: number, isLost: boolean): { exitCode: number; failure: string | undefined } {
  if (exitCode !== 0) return { exitCode, failure: "the command failed" };
  return isLost ? { exitCode: EXIT.FAILED, failure: "changes may be missing" } : { exitCode, failure: undefined };
}

async function tellLoss(session: Session, lost: LostView, logBytes: number): Promise<void> {
  const { lossOf } = await import("../review/lost-view.js");
  process.stderr.write(errorLine(lossOf(session, lost, logBytes).message));
}

const logBytesOf = (session: Session): number => statSync(session.path("log"), { throwIfNoEntry: false })?.size ?? 0;

async function learnFrom(session: Session, { to, silent }: { to: string | true; silent: boolean }): Promise<void> {
  (await import("../learn/learn-session.js")).learn(session, to);
  if (to !== true && !silent) process.stderr.write(`sluice: the learned policy is in ${escapeTextName(to)}\n`);
}

const isNew = ({ resume }: RunArguments): boolean => resume === undefined || resume.includes("@");

async function openLocked(
  args: RunArguments,
  command: readonly string[],
  { signals, policy }: { signals: EarlySignals; policy: string },
): Promise<Session> {
  const { createSession, openSession, removeSession } = await import("@sluice/sessions");
  if (args.resume !== undefined && args.freeze === true)
    throw wrong("--freeze", "it cannot be combined with --resume", "leave it out: a session stays as it began");
  const fromCheckpoint = args.resume?.includes("@") === true;
  if (args.resume !== undefined && args.name !== undefined && !fromCheckpoint)
    throw wrong("--name", "it cannot be combined with --resume", "leave one of them out");
  if (args.resume === undefined) (await import("@sluice/sandbox/view-order")).checkBase(currentDirectory());
  let made: Session | undefined;
  // Also while it waits for a lock.
  signals.endBy(() => {
    if (made !== undefined) removeSession(made);
  });
  if (args.name !== undefined) await (await import("./sessions/fork-command.js")).freeName(args.name);
  const session = await (async () => {
    if (args.resume === undefined) return createSession(currentDirectory(), { name: args.name, command, policy });
    return fromCheckpoint
      ? (await import("./sessions/fork-command.js")).forkOf(args.resume, { name: args.name, onMade: (fork) => (made = fork) })
      : openSession(args.resume);
  })();
  if (args.resume === undefined) made = session;
  try {
    await session.lock();
    if (args.resume !== undefined) {
      (await import("../review/session-changes.js")).recoverSession(session);
      checkEntrance(session);
    } else if (args.freeze === true) await session.snapshotBase();
    return session;
  } catch (error) {
    if (made !== undefined) removeSession(made);
    session.close();
    throw error;
  }
}

/**
 * The last words of this command line as byte strings. Node takes them for UTF-8, and so loses other bytes, such as those of a name in another
 * encoding.
 */
function bytesOf(words: readonly string[]): string[] {
  if (words.some((word) => word.includes("\ufffd")))
    return readFileSync("/proc/self/cmdline", "latin1")
      .split("\0")
      .slice(-1 - words.length, -1);
  return words.map((word) => Buffer.from(word).toString("latin1"));
}

/** Once, before the command begins: a program that is watched by a person may clear the screen. */
function announce(session: Session, policy: string, { passthrough, policy: summary, by, refused }: Serving & { refused?: string }): void {
  const why = refused === undefined ? "an ordinary user gets passthrough by a host service" : `the host service refused: ${refused}`;
  const mediated = by === undefined && process.geteuid?.() !== 0 ? `mediated: ${escapeTextName(why)}` : "mediated";
  const how = `${passthrough ? "passthrough" : mediated}${by === undefined ? "" : ` by ${by}`}`;
  const about = summary === "" ? "" : ` (${summary})`;
  process.stderr.write(`sluice: session ${session.name} · policy ${escapeTextName(policy)}${about} · ${how}\n`);
}

async function run(words: readonly string[], args: RunArguments, sluice: readonly [string, ...string[]]): Promise<void> {
  const signals = new EarlySignals();
  try {
    await runWith(signals, { words, args, sluice });
  } finally {
    signals.unhook();
  }
}

interface Called {
  words: readonly string[];
  args: RunArguments;
  /** How this program is called. */
  sluice: readonly [string, ...string[]];
}

async function runWith(signals: EarlySignals, { words, args, sluice }: Called): Promise<void> {
  const learns = args.learn !== undefined;
  const file = learns ? LEARNING_POLICY : policyFile(args.policy);
  checkFiles(args);
  const policy = learns ? LEARNS : presetFile(args.policy) === undefined ? file : args.policy;
  const session = await openLocked(args, words, { signals, policy });
  let isEmpty = isNew(args);
  try {
    // A disk takes milliseconds: the service works meanwhile.
    const onDisk = session.sync();
    // Reviews ask it.
    session.begin(words, policy);
    if (learns) native.unlinkat(session.fd, "decisions", 0);
    const { viewOrder } = await import("@sluice/sandbox/view-order");
    const { askForView } = await import("./sessions/view-in-service.js");
    const order = viewOrder(session, { policyFile: file, logsDecisions: learns });
    const logBytes = logBytesOf(session);
    let refused: string | undefined;
    signals.noteOnly();
    const asked = await askForView({ hostService: args.hostService, onRefusal: (problem) => (refused = problem) }, order);
    const { runSession } = await import("@sluice/sandbox");
    // Node takes a millisecond to open it: the service works meanwhile, and waits for nothing of this process.
    if (asked !== undefined) void process.stderr;
    const { write: writable = [], readOnly = [], socket: sockets = [], net: network } = args;
    const onServing = (serving: Serving): void => {
      if (args.json !== true)
        announce(session, learns ? "learn" : args.policy, { ...serving, ...(refused === undefined ? {} : { refused }) });
      // While the command begins, so that nobody waits for them at the end.
      void Promise.all([import("../review/end-run.js"), import("../review/session-activity.js"), import("../review/session-changes.js")]);
    };
    const running = runSession({
      session,
      onDisk,
      command: bytesOf(words),
      policyFile: file,
      ...{ network, writable, readOnly, sockets },
      sluice,
      serverCapabilities: async () => Object.keys((await import("@sluice/service-mount")).SERVER_CAPABILITIES),
      order,
      view: asked,
      silent: args.json === true,
      toldToEnd: signals.told,
      onServing,
      onEnded: () => void (args.onExit === "discard" && session.removeCaches()),
    });
    // It takes them itself.
    signals.unhook();
    const { exitCode: ofCommand, hasBegun, lost } = await running;
    isEmpty &&= !hasBegun;
    session.end();
    if (lost !== undefined) await tellLoss(session, lost, logBytes);
    const { endRun } = await import("../review/end-run.js");
    try {
      if (args.learn !== undefined) await learnFrom(session, { to: args.learn, silent: args.json === true });
    } finally {
      await endRun(session, endOf(ofCommand, lost !== undefined), isEmpty ? { ...args, onExit: "discard" } : args);
      isEmpty = false;
    }
  } finally {
    if (isEmpty && existsSync(session.directory)) (await import("@sluice/sessions")).removeSession(session);
    session.close();
  }
}

export function addRunCommand(program: Command, sluice: readonly [string, ...string[]]): void {
  // The words after the command are its own, options included.
  program.enablePositionalOptions();
  program
    .command("run")
    .description("run a command on a copy-on-write view of this directory, in a sandbox")
    .argument("<command...>", "the command and its arguments, after --")
    .option("--name <name>", "name of the new session; by default two words that are drawn")
    .option("--resume <name>", "go on in this session, in its directory; with NAME@CHECKPOINT in a new one that begins there")
    .option("--policy <name>", "agent, install, readonly, or a policy file", PRESETS[0])
    .option("--freeze", "show the directory as it is now, whoever changes it later; its file system must have reflinks")
    .addOption(
      new Option(
        "--learn [file]",
        "grant everything, and write the least policy that would have done to this file, or to standard output at the end",
      ).conflicts("policy"),
    )
    .addOption(
      new Option(
        "--host-service <auto|off|path>",
        "have the view mounted by the host service ('sluice serve') at this socket, with passthrough for every user; auto: if one answers at the usual socket and can",
      )
        .default("auto")
        .env("SLUICE_HOST_SERVICE"),
    )
    .addOption(new Option("--net <which>", "the network of the command").choices(["host", "none"]).default("host"))
    .addOption(new Option("--write <dir>", "let the command change this directory itself; may be repeated").argParser(collect))
    .addOption(new Option("--read-only <dir>", "show this directory, if it would be hidden; may be repeated").argParser(collect))
    .addOption(new Option("--socket <path>", "let the command connect to this unix socket; may be repeated").argParser(collect))
    .addOption(
      new Option(
        "--on-exit <what>",
        "at the end ask about the changes, apply them if the command succeeded, keep or discard them; by default ask on a terminal, else keep",
      ).choices(["ask", "apply", "keep", "discard"]),
    )
    .option("--output <file>", "write a report of the changes, conflicts and denials to this file, as JSON")
    .option("--json", "one JSON object on standard error at the end, and no other line except errors; nothing is asked")
    .addHelpText("after", NOTES)
    .passThroughOptions()
    .action(async (words: string[], args: RunArguments) => run(words, args, sluice));
}
