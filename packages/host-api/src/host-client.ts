/** Has mounts made, listed and ended by a host service. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { failed } from "@sluice/runtime/cli";
import { errorOf, HostUnreachable } from "./failure.js";
import { type Failure, type HostedMount, HostServiceClient, type MountResponse, type MountSpec } from "./gen/sluice/host/v1/host.js";
import { KNOWN_PEER } from "./known-peer.js";

async function connected<T>(socket: string, use: (client: HostServiceClient) => Promise<T>): Promise<T> {
  const client = new HostServiceClient(`unix://${socket}`, KNOWN_PEER);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/**
 * Resolves when a mount serves that does not end with this process. `socket` is an absolute path. A mount that does not serve within
 * `limitMs` is given up. @throws CliError or NeedsOwnProcess as the mount, and HostUnreachable
 */
export async function mountThrough(socket: string, spec: MountSpec, tell: (line: string) => void, limitMs: number): Promise<void> {
  let answered = false;
  const error = await connected<ServiceError | undefined>(
    socket,
    (client) =>
      new Promise((resolve, reject) => {
        const call = client.mount({ deadline: Date.now() + limitMs });
        call.on("data", ({ message }: MountResponse) => {
          answered = true;
          if (message?.$case === "notice") tell(message.value);
          if (message?.$case === "ended" && message.value.failure !== undefined) reject(errorOf(message.value.failure));
        });
        call.on("end", () => resolve(undefined));
        call.on("error", (error: ServiceError) => resolve(error));
        call.write({ message: { $case: "begin", value: spec } });
        call.end();
      }),
  );
  if (error !== undefined) throw broken(error, answered, { mountpoint: spec.mountpoint, socket });
}

/** The mounts of the service, by mount point. @throws HostUnreachable */
export function mountsOf(socket: string, limitMs: number): Promise<readonly HostedMount[]> {
  return connected(
    socket,
    (client) =>
      new Promise((resolve, reject) => {
        client.listMounts({}, new Metadata(), { deadline: Date.now() + limitMs }, (error, response) => {
          if (error === null) resolve(response.mounts);
          else reject(new HostUnreachable(error.details, { cause: error }));
        });
      }),
  );
}

/**
 * Ends a mount as SIGTERM ends it, and resolves when nothing of it is left. @returns whether the service had such a mount
 * @throws CliError if it did not end in order, and HostUnreachable
 */
export function endThrough(socket: string, mountpoint: string, limitMs: number): Promise<boolean> {
  return connected(socket, async (client) => {
    const { error, failure } = await new Promise<{ error: ServiceError | null; failure: Failure | undefined }>((resolve) => {
      client.endMount({ mountpoint, force: false }, new Metadata(), { deadline: Date.now() + limitMs }, (error, response) =>
        resolve({ error, failure: error === null ? response.failure : undefined }),
      );
    });
    if (error?.code === status.NOT_FOUND) return false;
    if (error !== null) throw new HostUnreachable(error.details, { cause: error });
    if (failure !== undefined) throw errorOf(failure);
    return true;
  });
}

function broken(error: ServiceError, answered: boolean, { mountpoint, socket }: { mountpoint: string; socket: string }): Error {
  if (error.code === status.DEADLINE_EXCEEDED || (!answered && error.code === status.UNAVAILABLE))
    return new HostUnreachable(error.details, { cause: error });
  return failed(mountpoint, `the host service at ${socket} ended the call (${error.details})`, "see its log");
}
