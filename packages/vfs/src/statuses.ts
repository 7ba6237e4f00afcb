/** Joins steps that may finish at once or later. A small file on a tmpfs is copied up before its open returns, without a promise. */
import { Errno } from "./errno.js";
import type { Status } from "./filesystem.js";

/** Calls `next` with the status of a step: at once if the step is finished. */
export function andThen(status: Status, next: (status: number) => Status): Status {
  return typeof status === "number" ? next(status) : status.then(next);
}

/** Calls `end` with the status of `work`, however it ends. An error is EIO to `end`, and is thrown on. */
export function andFinally(work: () => Status, end: (status: number) => void): Status {
  const failed = (error: unknown): never => {
    end(Errno.EIO);
    throw error;
  };
  const ended = (status: number): number => {
    end(status);
    return status;
  };
  let status: Status;
  try {
    status = work();
  } catch (error) {
    return failed(error);
  }
  return typeof status === "number" ? ended(status) : status.then(ended, failed);
}
