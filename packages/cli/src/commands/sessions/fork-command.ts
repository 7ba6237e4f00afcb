/** `sluice fork` and `sluice checkpoint`: other sessions that begin with the changes of one, now or later. */
import {
  addCheckpoint,
  addCheckpointRunning,
  becomeOwner,
  forkRunning,
  forkSession,
  isDiscarded,
  openSession,
  type Prepare,
  type Session,
  splitName,
} from "@sluice/sessions";
import { wrong } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { runningMount } from "./running-mount.js";

interface ForkArguments {
  stop?: boolean;
  json?: boolean;
}

const FORK_NOTES = `
The new session shows what SESSION shows now, or showed at a checkpoint. From then on each of them changes for itself. No file is copied, so
it takes as long for a large session as for a small one. 'sluice run --resume NAME -- COMMAND' works in the new session.

A command that works in SESSION goes on. If one of its programs has a file open or mapped for writing, the program is named (exit code 4);
--stop ends the command first. A fork of a checkpoint needs neither. If the mount needs its layer, the changes are copied, and programs that open
or change files wait meanwhile: see docs/run.md.

Examples:
  sluice fork brave-otter
  sluice fork brave-otter second-try
  sluice fork brave-otter@before-upgrade
`;

const CHECKPOINT_NOTES = `
To go on from a checkpoint, fork it, or let a command begin in a fork of it:

  sluice checkpoint brave-otter before-upgrade
  sluice run --resume brave-otter@before-upgrade -- bash
  sluice discard brave-otter@before-upgrade             remove the checkpoint, not the session
`;

/** A session, locked unless a command works in it. @throws CliError */
async function openToCopy(name: string, stop: boolean): Promise<{ session: Session; isRunning: boolean }> {
  const session = openSession(name);
  try {
    if (stop && session.isRunning()) await (await import("@sluice/sandbox")).stopPrograms(session);
    const isRunning = session.isRunning();
    if (!isRunning) {
      await session.lock();
      (await import("../../review/session-changes.js")).recoverSession(session);
    }
    return { session, isRunning };
  } catch (error) {
    session.close();
    throw error;
  }
}

/** A session that was discarded, and only stays for an undo, makes room for a new one. @throws CliError */
export async function freeName(name: string | undefined): Promise<void> {
  if (name !== undefined && isDiscarded(name)) await (await import("../../review/session-changes.js")).removeDiscarded();
}

export interface ForkOptions {
  name: string | undefined;
  stop?: boolean;
  /** Called when the fork is there, before another turn of the event loop. */
  onMade?(fork: Session): void;
}

/** Forks a session, or a checkpoint of it. */
export async function forkOf(from: string, { name, stop = false, onMade }: ForkOptions): Promise<Session> {
  const { session: old, checkpoint } = splitName(from);
  const { session, isRunning } = await openToCopy(old, stop);
  try {
    await freeName(name);
    const { passApplied } = await import("../../review/session-changes.js");
    const prepare: Prepare = (directory) => passApplied(session, directory, checkpoint);
    const fork =
      isRunning && checkpoint === undefined
        ? await forkRunning(session, runningMount(session), { name, prepare })
        : await forkSession(session, { name, checkpoint, prepare });
    onMade?.(fork);
    return fork;
  } finally {
    session.close();
  }
}

async function fork(from: string, name: string | undefined, { stop, json }: ForkArguments): Promise<void> {
  becomeOwner();
  const made = await forkOf(from, { name, stop: stop === true });
  if (json === true) process.stdout.write(`${JSON.stringify({ session: made.name, from })}\n`);
  else process.stdout.write(`${made.name}\n`);
  made.close();
}

async function checkpoint(name: string, mark: string, { stop }: ForkArguments): Promise<void> {
  if (name.includes("@")) throw wrong(name, "a checkpoint has no checkpoints of its own", "fork it, and name the new session");
  becomeOwner();
  const { session, isRunning } = await openToCopy(name, stop === true);
  try {
    const { noteApplied } = await import("../../review/session-changes.js");
    const prepare = (): void => noteApplied(session, mark);
    if (isRunning) await addCheckpointRunning(session, runningMount(session), { name: mark, prepare });
    else addCheckpoint(session, mark, prepare);
  } finally {
    session.close();
  }
  process.stdout.write(`${name}@${mark}\n`);
}

const STOP = "end the command that works in the session first";

export function addForkCommand(program: Command): void {
  program
    .command("fork")
    .description("make a session that begins with the changes of another one")
    .argument("<session>", "a session, or SESSION@CHECKPOINT")
    .argument("[name]", "name of the new session; by default two words that are drawn")
    .option("--stop", STOP)
    .option("--json", "one JSON object with the names of both")
    .addHelpText("after", FORK_NOTES)
    .action(fork);
}

export function addCheckpointCommand(program: Command): void {
  program
    .command("checkpoint")
    .description("give the present changes of a session a name, to go on from them later")
    .argument("<session>", "as 'sluice sessions' lists it")
    .argument("<name>", "name of the checkpoint")
    .option("--stop", STOP)
    .addHelpText("after", CHECKPOINT_NOTES)
    .action(checkpoint);
}
