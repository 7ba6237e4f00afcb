/** `sluice run --host-service`: has the view of a session mounted by a host service, before the namespaces of the session begin. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { HOST_SOCKET, ownMountNamespace } from "@sluice/host-api/socket";
import { fileOptions, type ServedView, type ViewOrder } from "@sluice/sandbox/view-order";
import { CliError, EXIT, failed } from "@sluice/runtime/cli";
import type { MountArguments } from "@sluice/service-mount/options";
import type { Refusal } from "@sluice/service-mount/session-client";
import { setOptions, withMountOptions } from "../mount-options.js";

/** The service refuses a mount in a sentence like each error of a command. */
function errorOf({ refusal, exitCode }: Refusal): CliError {
  const [, object, problem, remedy] = /^sluice: (.*?): (.*): (.*)$/m.exec(refusal) ?? [];
  if (object === undefined || problem === undefined || remedy === undefined)
    return failed("host service", refusal.trim() || "it made no mount", "see its log");
  const known = Object.values(EXIT).find((exit) => exit === exitCode && exit !== EXIT.DONE);
  return new CliError({ object, problem, remedy, exitCode: known ?? EXIT.FAILED });
}

/** Undefined if no service for ordinary users answers. @throws CliError */
async function forUser(socket: string, { mountpoint, options, files }: ViewOrder): Promise<ServedView | undefined> {
  const { parseMount } = await import("@sluice/service-mount/options");
  const { askForSession } = await import("@sluice/service-mount/session-client");
  const command = withMountOptions(new Command());
  setOptions(command, options);
  const asked = await askForSession(socket, parseMount(mountpoint, command.opts<MountArguments>()), files);
  if (asked !== undefined && "refusal" in asked) throw errorOf(asked);
  return asked;
}

/** Undefined if no service answers, or it cannot have this mount among others. @throws CliError */
async function forRoot(socket: string, { mountpoint, options, files }: ViewOrder): Promise<ServedView | undefined> {
  const { HostUnreachable, mountPlainly, NeedsOwnProcess } = await import("@sluice/host-api/plain");
  const spec = {
    mountpoint,
    options: [...options, ...fileOptions(files)],
    directory: "/",
    attached: true,
    abandonedAtEnd: true,
    mountNamespace: ownMountNamespace(),
  };
  let stop: () => void = () => undefined;
  let onLine: (line: string) => void = () => undefined;
  const serves = new Promise<string>((done) => (onLine = done));
  const ended = mountPlainly(socket, spec, {
    announce: onLine,
    // The mount's log has them.
    tell: () => undefined,
    onStop: (request) => {
      stop = request;
      return () => undefined;
    },
  });
  const outcome = await Promise.race([
    serves,
    ended.then(
      () => failed(mountpoint, "the mount ended at once", "see the log of the host service"),
      (error: unknown) => error,
    ),
  ]);
  if (typeof outcome === "string") {
    const end = ended.catch(() => undefined);
    return {
      line: outcome,
      end: async () => {
        stop();
        await end;
      },
    };
  }
  if (outcome instanceof NeedsOwnProcess) throw outcome.complaint;
  if (outcome instanceof HostUnreachable) return undefined;
  throw outcome;
}

function unanswered(socket: string): CliError {
  return failed(
    socket,
    "no host service answers there, or it refuses this user",
    "start 'sluice serve', for ordinary users with --user-mounts 16",
  );
}

interface Choice {
  /** "off", "auto" or the path of a socket. */
  hostService: string;
  /** Called with "auto" if a service answers and makes no mount. */
  onRefusal(problem: string): void;
}

/** Resolves to undefined if the session is to mount the view itself. @throws CliError with a path, if the service there cannot have it */
async function viewInService(
  socket: string,
  { auto, onRefusal }: { auto: boolean } & Choice,
  order: ViewOrder,
): Promise<ServedView | undefined> {
  const isRoot = process.geteuid?.() === 0;
  try {
    const view = await (isRoot ? forRoot : forUser)(socket, order);
    if (view === undefined && !auto) throw unanswered(socket);
    return view;
  } catch (error) {
    if (!auto || !(error instanceof CliError)) throw error;
    onRefusal(error.problem);
    return undefined;
  }
}

/**
 * As `SessionRun.view`: undefined if the session is to mount the view itself. It begins at once, so nobody may hear of its failure yet.
 */
export function mountViewInService(choice: Choice, order: ViewOrder): Promise<ServedView | undefined> | undefined {
  const { hostService } = choice;
  if (hostService === "off") return undefined;
  const auto = hostService === "auto";
  const socket = auto ? HOST_SOCKET : resolve(hostService);
  const listening = process.geteuid?.() === 0 ? socket : join(dirname(socket), "users.sock");
  if (auto && !existsSync(listening)) return undefined;
  const view = viewInService(socket, { ...choice, auto }, order);
  view.catch(() => undefined);
  return view;
}
