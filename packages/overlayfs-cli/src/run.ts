/** Runs an invocation of either form of this command, to an exit code. */
import { CliError, EXIT, errorLine, inInitialNamespace, VERSION, watchOutput } from "@sluice/runtime/cli";
import { HELP } from "./help-text.js";
import { installLinks } from "./install-links.js";
import type { Invocation, MountInvocation } from "./invocation.js";
import { logPlace } from "./log-place.js";
import { mountArguments, ownProcessArguments } from "./mount-arguments.js";
import { mountInService } from "./mount-in-service.js";

async function mount(invocation: MountInvocation): Promise<number> {
  const initialNamespace = inInitialNamespace();
  const args = mountArguments(invocation, initialNamespace);
  const { foreground, logFile, remount, notices } = args;
  for (const notice of notices) process.stderr.write(errorLine(`${invocation.mountpoint}: ${notice}`));
  if (invocation.fake) return EXIT.DONE;
  if (remount !== undefined) {
    const { remount: remountAt } = await import("./remount.js");
    await remountAt(invocation.mountpoint, remount);
    return EXIT.DONE;
  }
  if (!foreground && (await mountInService(args, initialNamespace))) return EXIT.DONE;
  const argv = ownProcessArguments(args);
  if (!foreground) return (await import("./launch.js")).launch(argv, logPlace(logFile));
  (await import("@sluice/runtime/short-pauses")).keepPausesShort();
  const { serve } = await import("./serve.js");
  const log = logFile === undefined ? [] : [`--log-file=${logPlace(logFile)}`];
  // fuse-overlayfs prints nothing when it serves.
  return serve([...log, ...argv], () => undefined);
}

async function dispatch(invocation: Invocation): Promise<number> {
  if (invocation.kind !== "mount") watchOutput();
  switch (invocation.kind) {
    case "help":
      process.stdout.write(HELP);
      return EXIT.DONE;
    case "version":
      process.stdout.write(`sluice-overlayfs: version ${VERSION}\n`);
      return EXIT.DONE;
    case "install":
      for (const line of installLinks(invocation.prefix)) process.stdout.write(`${line}\n`);
      return EXIT.DONE;
    case "mount":
      return mount(invocation);
  }
}

/** Ends the process. `exitCode` translates our exit code for the caller. */
export async function run(parse: () => Invocation, exitCode: (ours: number) => number): Promise<never> {
  try {
    process.exit(exitCode(await dispatch(parse())));
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(errorLine(error.message));
    process.exit(exitCode(error.exitCode));
  }
}
