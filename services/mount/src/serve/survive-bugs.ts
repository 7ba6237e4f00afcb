/** A bug in one request must not end the mount for everybody: once the mount serves, bugs are logged and counted. */
import type { Logger } from "@sluice/runtime";

/** @returns a function that stops it */
export function surviveBugs(logger: Logger, count: () => void): () => void {
  const onError = (error: unknown): void => {
    count();
    logger.error({ err: error, anomaly: true }, "bug: an error that nobody caught");
  };
  // The reader of the "mounted" line may have closed the pipe since.
  const ignore = (): void => undefined;
  process.on("uncaughtException", onError);
  process.on("unhandledRejection", onError);
  process.stdout.on("error", ignore);
  process.stderr.on("error", ignore);
  return () => {
    process.off("uncaughtException", onError);
    process.off("unhandledRejection", onError);
    process.stdout.off("error", ignore);
    process.stderr.off("error", ignore);
  };
}
