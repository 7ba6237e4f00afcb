/** Has mounts made, listed and ended by a host service. */
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { failed } from "@sluice/runtime/cli";
import { errorOf } from "./failure.js";
import { type Failure, type HostedMount, HostServiceClient, type MountResponse, type MountSpec } from "./gen/sluice/host/v1/host.js";

/** The person or program that has the mount made. */
export interface MountFollower {
  /** Gets the line that says that the mount serves. */
  announce(line: string): void;
  /** Gets lines for a person. */
  tell(line: string): void;
  /** `stop` is called for each request to end the mount. @returns a function that ends that */
  onStop(stop: () => void): () => void;
}

/** No service answers at the socket or in time, or it does not let this user in: no mount was made, or none will stay. */
export class HostUnreachable extends Error {
  override readonly name = "HostUnreachable";
}

async function connected<T>(socket: string, use: (client: HostServiceClient) => Promise<T>): Promise<T> {
  const client = new HostServiceClient(`unix://${socket}`, credentials.createInsecure());
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/**
 * Resolves when an attached mount has ended, and for another one as soon as it serves. `socket` is an absolute path. A mount that does
 * not serve within `limitMs` is given up; by default it may take any time.
 * @throws CliError or NeedsOwnProcess as the mount, and HostUnreachable
 */
export function mountThrough(socket: string, spec: MountSpec, follower: MountFollower, limitMs = Infinity): Promise<void> {
  return connected(socket, (client) => follow(client, spec, { socket, limitMs, ...follower }));
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

function follow(client: HostServiceClient, spec: MountSpec, follower: MountFollower & { socket: string; limitMs: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = client.mount({ deadline: Date.now() + follower.limitMs });
    const unlisten = follower.onStop(() => call.write({ message: { $case: "stop", value: {} } }));
    let answered = false;
    const settle = (error?: Error): void => {
      unlisten();
      if (error === undefined) resolve();
      else reject(error);
    };
    call.on("data", ({ message }: MountResponse) => {
      answered = true;
      if (message?.$case === "mounted") follower.announce(message.value.line);
      if (message?.$case === "notice") follower.tell(message.value);
      if (message?.$case === "ended" && message.value.failure !== undefined) settle(errorOf(message.value.failure));
    });
    call.on("end", () => settle());
    call.on("error", (error: ServiceError) => settle(broken(error, answered, { spec, socket: follower.socket })));
    call.write({ message: { $case: "begin", value: spec } });
    if (!spec.attached) call.end();
  });
}

function broken(error: ServiceError, answered: boolean, { spec, socket }: { spec: MountSpec; socket: string }): Error {
  if (error.code === status.DEADLINE_EXCEEDED || (!answered && error.code === status.UNAVAILABLE))
    return new HostUnreachable(error.details, { cause: error });
  return failed(spec.mountpoint, `the host service at ${socket} ended the call (${error.details})`, "see its log");
}
