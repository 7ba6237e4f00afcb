/** Has a mount in the background made by a host service, one process that serves many mounts. */
import { mountByService } from "@sluice/cli/host-service";
import { errorLine } from "@sluice/runtime/cli";
import { logPlace } from "./log-place.js";
import type { MountArguments } from "./mount-arguments.js";

/** Resolves to true when the mount serves. False: a process of its own is to serve it. @throws CliError */
export function mountInService(args: MountArguments, initialNamespace: boolean): Promise<boolean> {
  const chosen = args.hostService ?? process.env["SLUICE_HOST_SERVICE"] ?? "auto";
  // The service does not know the ids of another namespace.
  if (chosen === "auto" && !initialNamespace) return Promise.resolve(false);
  const { words, flags, mountpoint, logFile } = args;
  const log = logFile === undefined ? [] : [["log-file", logPlace(logFile)] as const];
  const options = [["options", words] as const, ...flags, ...log].map(([name, value]) => ({ name, values: [value] }));
  return mountByService(
    chosen,
    { mountpoint, options, attached: false },
    {
      // fuse-overlayfs prints nothing when it serves.
      announce: () => undefined,
      tell: (line) => void process.stderr.write(errorLine(`${mountpoint}: ${line}`)),
      onStop: () => () => undefined,
    },
  );
}
