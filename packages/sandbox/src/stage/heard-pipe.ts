/** The text that a process writes to a pipe, heard from its beginning: a stream that nobody hears loses its end. */
import type { Socket } from "node:net";

export class HeardPipe {
  text = "";
  /** Resolves at its end. */
  readonly over: Promise<void>;
  ended = false;
  readonly #followers: (() => void)[] = [];

  constructor(socket: Socket) {
    const tell = (): void => {
      for (const follow of this.#followers) follow();
    };
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      this.text += chunk;
      tell();
    });
    // The end of the process tells of itself.
    socket.on("error", () => undefined);
    this.over = new Promise((resolve) => {
      socket.once("close", () => {
        this.ended = true;
        tell();
        resolve();
      });
    });
  }

  /** Calls `onChange` now, and when there is more text, and at the end. */
  follow(onChange: () => void): void {
    this.#followers.push(onChange);
    onChange();
  }
}
