/**
 * Closes connections of ordinary users. Descriptors that a client sent and nobody received go with a connection, and their files may take long.
 * So a few threads of the pool do it, which has other work for all mounts, and no further connection is taken while many wait to be closed.
 */
import { native } from "@sluice/native";

const AT_A_TIME = 2;
const CROWD = 64;

export class ConnectionCloser {
  readonly #waiting: number[] = [];
  readonly #onRoom: () => void;
  #closing = 0;

  /** `onRoom` is called after each close. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  /** Too many wait. */
  get isCrowded(): boolean {
    return this.#waiting.length > CROWD;
  }

  close(connection: number): void {
    this.#waiting.push(connection);
    this.#closeNext();
  }

  #closeNext(): void {
    for (; this.#closing < AT_A_TIME && this.#waiting.length > 0; this.#closing++)
      void native.closeSoonAsync(this.#waiting.shift() as number).then(() => {
        this.#closing--;
        this.#closeNext();
        this.#onRoom();
      });
  }
}
