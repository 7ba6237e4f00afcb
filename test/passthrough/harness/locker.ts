/** A process that takes locks for a test, since locks belong to a process, and waiting for one blocks it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { cleanUp } from "@sluice/testkit";
import { compiled } from "./compiled.js";

export class Locker {
  readonly #process: ChildProcess;
  readonly #waiting: ((answer: string) => void)[] = [];
  readonly #exit: Promise<void>;

  constructor() {
    const child = spawn(compiled("locker"), { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = child;
    this.#exit = new Promise((resolve) => {
      child.once("exit", () => {
        for (const answer of this.#waiting) answer("gone");
        resolve();
      });
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#waiting.shift()?.(line));
    cleanUp(() => this.end());
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  /** Sends one command of locker.c; returns the answer, or "gone". Commands are executed one after another. */
  do(...words: (string | number)[]): Promise<string> {
    const answered = new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
    });
    this.#process.stdin?.write(`${words.join(" ")}\n`);
    return answered;
  }

  interrupt(): void {
    this.#process.kill("SIGUSR1");
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exit;
  }
}
