/** The threads of libuv's pool, before somebody needs them. */
import { access } from "node:fs";
import { native } from "../native.js";

const USUAL_POOL = 4;
/** Such as that of a notifier, which follows. */
const OTHERS = 1;

let haveStarted = false;

/**
 * libuv ends the process (SIGABRT) if it cannot make the threads of its pool at their first use, such as in a cgroup that has as many processes as
 * it may. Call it when this thread has the rights that they are to have. @returns 0, or the negative errno if there is no room for them
 */
export function startThreads(): number {
  if (haveStarted) return 0;
  const status = native.roomForThreads(OTHERS + (Number(process.env["UV_THREADPOOL_SIZE"]) || USUAL_POOL));
  if (status < 0) return status;
  haveStarted = true;
  access("/", () => undefined);
  return 0;
}
