/**
 * Starts the sandbox in a stage. bubblewrap fails if a socket that it is to cover is gone meanwhile, which happens at any time: then it gets
 * its options again, with the sockets that are left.
 */
import { ftruncateSync, writeSync } from "node:fs";
import type { Writable } from "node:stream";
import { check, native } from "@sluice/native";
import { GO, INSIDE, LOST, TRIED } from "./stage-script.js";

/** A file without a name, with content that fits into one write. @returns its descriptor */
export function memoryFile(name: string, content?: Buffer): number {
  const fd = check(native.memoryFile(name), "make a memory file");
  if (content !== undefined) writeSync(fd, content);
  return fd;
}

const MAX_TRIES = 10;
const MARK = new RegExp(`^(?:${INSIDE}|${TRIED}|${LOST} \\d+)?$`);

export interface SandboxStage {
  /** The options for the sandbox as it is to be now. */
  options(): readonly string[];
  /** The file from which it reads them. */
  file: number;
  go: Writable;
  /** Called with the complaints of a sandbox that does not start. */
  onComplaint(text: string): void;
}

export class SandboxStart {
  readonly #stage: SandboxStage;
  #text = "";
  #tries = 0;
  /** The length of the text of earlier tries. */
  #told = 0;

  constructor(stage: SandboxStage) {
    this.#stage = stage;
  }

  begin(): void {
    this.#try(this.#options());
  }

  /** `told`: all that the stage has told since it began. */
  heard(told: string): void {
    const now = told.slice(this.#told);
    const lines = now.split("\n");
    // The mount may end at the same time, and tells so behind it.
    if (!lines.slice(0, -1).includes(TRIED)) return;
    this.#told = told.length;
    const options = lines.includes(INSIDE) || this.#tries === MAX_TRIES ? this.#text : this.#options();
    if (options !== this.#text) {
      this.#try(options);
      return;
    }
    const complaints = lines.includes(INSIDE) ? [] : lines.filter((line) => !MARK.test(line));
    if (complaints.length > 0) this.#stage.onComplaint(`${complaints.join("\n")}\n`);
    this.#stage.go.end();
  }

  #options(): string {
    return this.#stage
      .options()
      .map((word) => `${word}\0`)
      .join("");
  }

  #try(options: string): void {
    this.#text = options;
    this.#tries++;
    const { file, go } = this.#stage;
    ftruncateSync(file, 0);
    for (let bytes = Buffer.from(options), at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at);
    go.write(`${GO}\n`);
  }
}
