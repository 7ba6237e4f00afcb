/** `sluice run --host-service`: has the view of a session mounted by a host service, before the namespaces of the session begin. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { HOST_SOCKET, ownMountNamespace, usersSocketOf } from "@sluice/host-api/socket";
import { type AskedView, type ServedView, type ViewOrder, viewOptions } from "@sluice/sandbox/view-order";
import { CliError, EXIT, failed } from "@sluice/runtime/cli";
import type { Refusal } from "@sluice/service-mount/session-client";
import { hanging, refuseNoName, unanswered } from "../../host-service.js";

/** The service refuses a mount in a sentence like each error of a command. */
function errorOf({ refusal, exitCode }: Refusal): CliError {
  const [, object, problem, remedy] = /^sluice: (.*?): (.*): (.*)$/m.exec(refusal) ?? [];
  if (object === undefined || problem === undefined || remedy === undefined)
    return failed("host service", refusal.trim() || "it made no mount", "see its log");
  const known = Object.values(EXIT).find((exit) => exit === exitCode && exit !== EXIT.DONE);
  return new CliError({ object, problem, remedy, exitCode: known ?? EXIT.FAILED });
}

function endedOnce({ line, end }: ServedView): ServedView {
  let ending: Promise<boolean> | undefined;
  return { line, end: () => (ending ??= end()) };
}

/** A service that takes longer is taken for one that hangs: with many mounts on a busy machine it answers within a second or two. */
const ANSWER_LIMIT_MS = 10_000;

interface Asking {
  /** Called when the service has been asked. */
  onAsked(): void;
  signal: AbortSignal;
}

/** Undefined if no service for ordinary users answers. @throws CliError */
async function forUser(socket: string, order: ViewOrder, { onAsked, signal }: Asking): Promise<ServedView | undefined> {
  const { askForSession } = await import("@sluice/service-mount/session-client");
  const asked = await askForSession(socket, { view: order, files: order.files, onAsked, signal });
  if (asked !== undefined && "refusal" in asked) throw errorOf(asked);
  return asked === undefined ? undefined : endedOnce(asked);
}

/** Undefined if no service answers, or it cannot have this mount among others. @throws CliError */
async function forRoot(socket: string, order: ViewOrder, { onAsked, signal }: Asking): Promise<ServedView | undefined> {
  const { HostGone, HostUnreachable, mountPlainly, NeedsOwnProcess } = await import("@sluice/host-api/plain");
  const spec = {
    mountpoint: order.mountpoint,
    options: viewOptions(order),
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
    asked: onAsked,
    signal,
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
      () => failed(order.mountpoint, "the mount ended at once", "see the log of the host service"),
      (error: unknown) => error,
    ),
  ]);
  if (typeof outcome === "string") {
    let [isOver, isGone] = [false, false];
    const end = ended.catch((error: unknown) => void (isGone = error instanceof HostGone)).then(() => void (isOver = true));
    return endedOnce({
      line: outcome,
      end: async () => {
        const wasOver = isOver;
        stop();
        await end;
        // The end of a service that was killed may be heard of only after that of the command.
        return wasOver || isGone;
      },
    });
  }
  if (outcome instanceof NeedsOwnProcess) throw outcome.complaint;
  if (outcome instanceof HostUnreachable) return undefined;
  throw outcome;
}

interface Choice {
  /** "off", "auto" or the path of a socket. */
  hostService: string;
  /** Called with "auto" if a service answers and makes no mount. */
  onRefusal(problem: string): void;
}

/**
 * Resolves to undefined if the session is to mount the view itself. The reason of `signal` is a CliError: `told`, or that the service hangs.
 * @throws CliError with a path, if the service there cannot have it
 */
async function viewInService(
  socket: string,
  { auto, onRefusal, onAsked, signal, told }: { auto: boolean; told: CliError } & Asking & Choice,
  order: ViewOrder,
): Promise<ServedView | undefined> {
  const isRoot = process.geteuid?.() === 0;
  try {
    const view = await (isRoot ? forRoot : forUser)(socket, order, { onAsked, signal });
    if (view === undefined) signal.throwIfAborted();
    if (view === undefined && !auto) throw unanswered(socket);
    return view;
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    if (!auto || !(cause instanceof CliError) || cause === told) throw cause;
    onRefusal(cause.problem);
    return undefined;
  }
}

/**
 * Resolves when the service has the request: whatever this process does next, the service works meanwhile. Undefined if the session is to mount
 * the view itself.
 */
export async function askForView(choice: Choice, order: ViewOrder): Promise<AskedView | undefined> {
  const { hostService } = choice;
  refuseNoName(hostService);
  if (hostService === "off") return undefined;
  const auto = hostService === "auto";
  const socket = auto ? HOST_SOCKET : resolve(hostService);
  const listening = process.geteuid?.() === 0 ? socket : usersSocketOf(socket);
  if (auto && !existsSync(listening)) return undefined;
  const abandon = new AbortController();
  const told = failed("sluice run", "it was told to end before the command began", "run it again");
  const giveUp = (): void => abandon.abort(told);
  const hangs = hanging(socket, ANSWER_LIMIT_MS);
  const limit = setTimeout(() => abandon.abort(hangs), ANSWER_LIMIT_MS);
  return new Promise((done) => {
    const { signal } = abandon;
    const served = viewInService(socket, { ...choice, auto, signal, told, onAsked: () => done({ served, giveUp }) }, order);
    const over = (): void => {
      clearTimeout(limit);
      done({ served, giveUp });
    };
    served.then(over, over);
  });
}
