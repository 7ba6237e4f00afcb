/** The lines by which the process of the namespaces tells of the mount, and of its own beginning. */
import type { Readable } from "node:stream";
import { CliError, EXIT, lacking } from "@sluice/runtime/cli";
import { ENDED, ENTERED } from "./stage-script.js";

/** The line of a mount that serves. */
export const MOUNTED = /^mounted .*?; policy (?:[^;]*?: )?(.*?); FUSE .*passthrough (on|off)(?:.*; by (the host service, pid \d+))?/m;

/** The lines that the stage tells, as they come: its own, and those of the mount's server. */
export class Told {
  text = "";
  ended = false;
  #wake: () => void = () => undefined;

  /** `onEntered`: called when the namespaces are there. */
  constructor(stream: Readable, onEntered: () => void) {
    let hasTold = false;
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      this.text += chunk;
      if (!hasTold && this.hasEntered) {
        hasTold = true;
        onEntered();
      }
      this.#wake();
    });
    const end = (): void => {
      this.ended = true;
      this.#wake();
    };
    stream.once("end", end);
    stream.once("error", end);
  }

  /** The namespaces are there. */
  get hasEntered(): boolean {
    return this.text.split("\n").includes(ENTERED);
  }

  /** Resolves when the mount serves; to undefined if its server ends without that. */
  async mounted(): Promise<RegExpExecArray | undefined> {
    for (;;) {
      const found = MOUNTED.exec(this.text);
      if (found !== null) return found;
      if (this.ended || this.text.endsWith(`\n${ENDED}\n`)) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** @throws CliError with the complaint of the stage or of the mount's server */
export function complain(told: Told, code: number): never {
  // Warnings come before it.
  const complaint = [...told.text.matchAll(/^sluice: (.*?): (.*): (.*)$/gm)].at(-1);
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
