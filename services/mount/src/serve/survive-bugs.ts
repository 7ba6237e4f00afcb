/** A bug in one request must not take the mount away from everybody: from ready on it is logged and counted, and life goes on. */
import type { Logger } from "@sluice/runtime";

/** Returns how to stop. */
export function surviveBugs(logger: Logger, count: () => void): () => void {
  const onError = (error: unknown): void => {
    count();
    logger.error({ err: error, anomaly: true }, "bug: an error that nobody caught");
  };
  // Whoever read our "mounted" line may have closed the pipe since.
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
