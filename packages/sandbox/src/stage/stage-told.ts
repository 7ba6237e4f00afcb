/** The lines by which the process of the namespaces tells of the mount, and of its own beginning. */
import { constants } from "node:os";
import { CliError, EXIT, failed, lacking } from "@sluice/runtime/cli";
import type { HeardPipe } from "./heard-pipe.js";
import { ENDED, ENTERED } from "./stage-script.js";

/** The line of a mount that serves. */
export const MOUNTED = /^mounted .*?; policy (?:[^;]*?: )?(.*?); FUSE .*passthrough (on|off)(?:.*; by (the host service, pid \d+))?/m;

/** The lines that the stage tells, as they come: its own, and those of the mount's server. */
export class Told {
  readonly #pipe: HeardPipe;

  /** `onEntered`: called when the namespaces are there. */
  constructor(pipe: HeardPipe, onEntered: () => void) {
    this.#pipe = pipe;
    let hasTold = false;
    pipe.follow(() => {
      if (hasTold || !this.hasEntered) return;
      hasTold = true;
      onEntered();
    });
  }

  get text(): string {
    return this.#pipe.text;
  }

  /** The namespaces are there. */
  get hasEntered(): boolean {
    return this.text.split("\n").includes(ENTERED);
  }

  /** The output of the server since it serves, such as the error of its crash. */
  get lastWords(): string {
    const [line] = MOUNTED.exec(this.text) ?? [];
    const after = line === undefined ? "" : this.text.slice(this.text.indexOf(line) + line.length);
    return after.slice(after.indexOf("\n") + 1).replace(new RegExp(`(?:^|\\n)${ENDED}\\n$`), "");
  }

  /** Resolves when the mount serves; to undefined if its server ends without that. */
  mounted(): Promise<RegExpExecArray | undefined> {
    return new Promise((resolve) => {
      this.#pipe.follow(() => {
        const found = MOUNTED.exec(this.text);
        if (found !== null) resolve(found);
        else if (this.#pipe.ended || this.text.endsWith(`\n${ENDED}\n`)) resolve(undefined);
      });
    });
  }
}

const SIGNAL_EXIT = 128;

/** The name of the signal that ended a process, by its exit code as a shell has it. */
export const signalOf = (code: number): string | undefined =>
  Object.entries(constants.signals).find(([, number]) => code === SIGNAL_EXIT + number)?.[0];

/** @throws CliError with the complaint of the stage or of the mount's server */
export function complain(told: Told, code: number): never {
  // Warnings come before it.
  const complaint = [...told.text.matchAll(/^sluice: (.*?): (.*): (.*)$/gm)].at(-1);
  const signal = signalOf(code);
  if (complaint === undefined && !told.hasEntered && signal !== undefined)
    throw failed("namespaces", `their process was ended by ${signal} before the command began`, "run it again");
  if (complaint === undefined && !told.hasEntered)
    throw lacking(
      "namespaces",
      "this machine does not let this user make them (see the line above)",
      "see 'sluice doctor', or run as root",
    );
  const [object = "mount", problem = "its server ended", remedy = "see 'sluice doctor'"] = complaint?.slice(1) ?? [];
  const known = Object.values(EXIT).find((exit) => exit === code && exit !== EXIT.DONE);
  throw new CliError({ object, problem, remedy, exitCode: known ?? EXIT.FAILED });
}
