/** The options of a mount's own decision service. */
import type { Logger } from "@sluice/runtime";
import type { EmbeddedChoice, MountConfig } from "../config/mount-config.js";
import type { HandedSession } from "../keeper/handed-session.js";
import type { EmbeddedDecisionOptions } from "../mount-host.js";

interface Surroundings {
  runDirectory: string;
  logger: Logger;
  session: HandedSession | undefined;
  /** Another server served this mount before. */
  takesOver: boolean;
}

export function embeddedOptions(
  { policyFile, askTimeoutMs, answersFile }: EmbeddedChoice,
  { logLevel, logFile, decisionLog, tracing }: MountConfig,
  { runDirectory, logger, session, takesOver }: Surroundings,
): EmbeddedDecisionOptions {
  const answersFd = session === undefined || session.answers < 0 ? undefined : session.answers;
  return {
    ...{ policyFile, askTimeoutMs, answersFile, answersFd, runDirectory, takesOver },
    ...{ logger, logLevel, logFile, decisionLog, tracingEndpoint: tracing?.endpoint },
  };
}
