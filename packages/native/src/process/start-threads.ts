/** The threads of libuv's pool, before somebody needs them. */
import { access } from "node:fs";

/**
 * libuv ends the process (SIGABRT) if it cannot make the threads of its pool at their first use, such as in a cgroup that has as many processes as
 * it may. Call it when this thread has the rights that they are to have.
 */
export function startThreads(): void {
  access("/", () => undefined);
}
