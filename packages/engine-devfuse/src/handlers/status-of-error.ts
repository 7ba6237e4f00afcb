/** What a caller sees of an error that a filesystem threw. */
import { Errno, FsError } from "@sluice/vfs";

/** The errno, or undefined where the error is a bug. AbortError is an answer only to one who was interrupted. */
export function statusOfError(error: unknown, interrupted: boolean): number | undefined {
  if (error instanceof FsError) return error.errno;
  if (interrupted && error instanceof Error && error.name === "AbortError") return Errno.EINTR;
  return undefined;
}
