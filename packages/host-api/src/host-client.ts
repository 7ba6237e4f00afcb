/** Has a mount made by a host service, and follows it. */
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { failed } from "@sluice/runtime/cli";
import { errorOf } from "./failure.js";
import { HostServiceClient, type MountResponse, type MountSpec } from "./gen/sluice/host/v1/host.js";

/** The person or program that has the mount made. */
export interface MountFollower {
  /** Gets the line that says that the mount serves. */
  announce(line: string): void;
  /** Gets lines for a person. */
  tell(line: string): void;
  /** `stop` is called for each request to end the mount. @returns a function that ends that */
  onStop(stop: () => void): () => void;
}

/** No service answers at the socket, or it does not let this user in: no mount was made. */
export class HostUnreachable extends Error {
  override readonly name = "HostUnreachable";
}

/**
 * Resolves when an attached mount has ended, and for another one as soon as it serves. `socket` is an absolute path.
 * @throws CliError or NeedsOwnProcess as the mount, and HostUnreachable
 */
export async function mountThrough(socket: string, spec: MountSpec, follower: MountFollower): Promise<void> {
  const client = new HostServiceClient(`unix://${socket}`, credentials.createInsecure());
  try {
    await follow(client, spec, { socket, ...follower });
  } finally {
    client.close();
  }
}

function follow(client: HostServiceClient, spec: MountSpec, follower: MountFollower & { socket: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = client.mount();
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
  if (!answered && error.code === status.UNAVAILABLE) return new HostUnreachable(error.details, { cause: error });
  return failed(spec.mountpoint, `the host service at ${socket} ended the call (${error.details})`, "see its log");
}
