/**
 * Connections that wait for a process. Each user has a queue of their own, and the queues are served in turns: whoever connects again and again
 * delays others by one connection of theirs.
 */
export class WaitingUsers {
  readonly #queues = new Map<number, number[]>();
  #size = 0;

  constructor(
    private readonly mostOfUser: number,
    private readonly most: number,
  ) {}

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.most;
  }

  /** False if as many of this user wait already as may. */
  add(uid: number, connection: number): boolean {
    const queue = this.#queues.get(uid) ?? [];
    if (queue.length >= this.mostOfUser) return false;
    queue.push(connection);
    this.#queues.set(uid, queue);
    this.#size++;
    return true;
  }

  /** Of the user who was served longest ago. */
  next(): number | undefined {
    for (const [uid, queue] of this.#queues) {
      this.#queues.delete(uid);
      const connection = queue.shift();
      if (queue.length > 0) this.#queues.set(uid, queue);
      this.#size--;
      return connection;
    }
    return undefined;
  }
}
