/** Steps that are done at once where nothing has to be waited for: a small file on a tmpfs is copied up before its open returns. */
import { Errno, type Status } from "@sluice/vfs";

/** Goes on with a step's status. */
export function andThen(status: Status, next: (status: number) => Status): Status {
  return typeof status === "number" ? next(status) : status.then(next);
}

/** Whatever becomes of `work`, `end` is told; an error counts as EIO there, and goes on as one. */
export function ending(work: () => Status, end: (status: number) => void): Status {
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
