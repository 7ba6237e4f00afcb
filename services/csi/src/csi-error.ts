/** An error of a call, with the gRPC code that the kubelet acts on: it repeats some calls, and shows the message as an event of the pod. */
import { status } from "@grpc/grpc-js";
import { HostUnreachable, NeedsOwnProcess } from "@sluice/host-api";
import { CliError, EXIT } from "@sluice/runtime/cli";

export class CsiError extends Error {
  override readonly name = "CsiError";

  constructor(
    readonly code: status,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The volume's attributes, or the call, are wrong. */
export function invalid(message: string): CsiError {
  return new CsiError(status.INVALID_ARGUMENT, message);
}

/** The kubelet calls again. */
export function unavailable(message: string, cause?: unknown): CsiError {
  return new CsiError(status.UNAVAILABLE, message, { cause });
}

/** The node or the configuration of the driver is not as the volume needs it. */
export function unready(message: string): CsiError {
  return new CsiError(status.FAILED_PRECONDITION, message);
}

const CODES: Readonly<Record<number, status>> = {
  [EXIT.USAGE]: status.INVALID_ARGUMENT,
  [EXIT.MACHINE]: status.FAILED_PRECONDITION,
  [EXIT.UNFIT]: status.FAILED_PRECONDITION,
};

/** Of anything that a call threw. */
export function csiErrorOf(error: unknown): CsiError {
  if (error instanceof CsiError) return error;
  if (error instanceof HostUnreachable) return unavailable(`the host service does not answer: ${error.message}`, error);
  if (error instanceof NeedsOwnProcess) {
    const full = error.message.includes("EMFILE");
    return new CsiError(full ? status.RESOURCE_EXHAUSTED : status.FAILED_PRECONDITION, error.message, { cause: error });
  }
  if (error instanceof CliError) return new CsiError(CODES[error.exitCode] ?? status.INTERNAL, error.message, { cause: error });
  return new CsiError(status.INTERNAL, error instanceof Error ? error.message : String(error), { cause: error });
}

/** As the kubelet sees it: after any other error it takes it that nothing is mounted, and may not call NodeUnpublishVolume. */
export function mayBeMounted(code: status): boolean {
  return [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.ABORTED, status.CANCELLED, status.RESOURCE_EXHAUSTED].includes(code);
}
