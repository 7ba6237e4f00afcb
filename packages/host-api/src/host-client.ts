/** Has mounts made, listed and ended by a host service. */
import { setTimeout as sleep } from "node:timers/promises";
import { type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { failed } from "@sluice/runtime/cli";
import { errorOf, HostUnreachable } from "./failure.js";
import {
  type Failure,
  type HostedMount,
  HostServiceClient,
  type MountRequest,
  type MountResponse,
  type MountSpec,
} from "./gen/sluice/host/v1/host.js";
import type { MountFollower } from "./mount-follower.js";

async function connected<T>(socket: string, use: (client: HostServiceClient) => Promise<T>): Promise<T> {
  const client = new HostServiceClient(`unix://${socket}`, credentials.createInsecure());
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** How long a mount that was taken over waits for its client: see Attach in the contract. */
const ATTACH_MS = 10_000;
const AGAIN_MS = 100;

type Request = NonNullable<MountRequest["message"]>;

/** The calls that follow one mount: a second one if another process takes the mount over. */
class MountCalls {
  /** Of the mount, if another process can take it over. */
  mountpoint: string | undefined;
  /** The present service has answered. */
  answered = false;
  #stops = 0;
  #call: ClientDuplexStream<MountRequest, MountResponse> | undefined;

  constructor(
    private readonly socket: string,
    private readonly follower: MountFollower,
  ) {}

  /** A call that begins later gets it, too. */
  stop(): void {
    this.#stops++;
    this.#call?.write({ message: { $case: "stop", value: {} } });
  }

  /** Resolves at the end of the call, with the error of a call that broke. @throws CliError or NeedsOwnProcess as the mount */
  async run(first: Request, { isOnly = false, limitMs = Infinity } = {}): Promise<ServiceError | undefined> {
    this.answered = false;
    const error = await connected<ServiceError | undefined>(
      this.socket,
      (client) =>
        new Promise((resolve, reject) => {
          const call = client.mount({ deadline: Date.now() + limitMs });
          call.on("data", (response: MountResponse) => this.#take(response, reject));
          call.on("end", () => resolve(undefined));
          call.on("error", (error: ServiceError) => resolve(error));
          call.write({ message: first });
          for (let at = 0; at < this.#stops; at++) call.write({ message: { $case: "stop", value: {} } });
          this.#call = call;
          if (isOnly) call.end();
        }),
    );
    this.#call = undefined;
    return error;
  }

  #take({ message }: MountResponse, fail: (error: Error) => void): void {
    this.answered = true;
    if (message?.$case === "mounted") {
      this.mountpoint = message.value.mountpoint === "" ? undefined : message.value.mountpoint;
      if (message.value.line !== "") this.follower.announce(message.value.line);
    }
    if (message?.$case === "notice") this.follower.tell(message.value);
    if (message?.$case === "ended" && message.value.failure !== undefined) fail(errorOf(message.value.failure));
  }
}

/**
 * Resolves when an attached mount has ended, and for another one as soon as it serves. `socket` is an absolute path. A mount that does
 * not serve within `limitMs` is given up; by default it may take any time.
 * @throws CliError or NeedsOwnProcess as the mount, and HostUnreachable
 */
export async function mountThrough(socket: string, spec: MountSpec, follower: MountFollower, limitMs = Infinity): Promise<void> {
  const calls = new MountCalls(socket, follower);
  const unlisten = follower.onStop(() => calls.stop());
  try {
    const error = await calls.run({ $case: "begin", value: spec }, { isOnly: !spec.attached, limitMs });
    const { answered } = calls;
    if (error !== undefined && !(spec.attached && (await followOn(calls)))) throw broken(error, answered, { spec, socket });
  } finally {
    unlisten();
  }
}

/** Follows a mount whose service died or was replaced, from process to process. False if no other one has it. */
async function followOn(calls: MountCalls): Promise<boolean> {
  const { mountpoint } = calls;
  if (mountpoint === undefined) return false;
  for (let untilMs = Date.now() + ATTACH_MS; Date.now() < untilMs; await sleep(AGAIN_MS)) {
    const error = await calls.run({ $case: "attach", value: { mountpoint } });
    if (error === undefined) return true;
    if (error.code !== status.UNAVAILABLE) return false;
    // It has broken again.
    if (calls.answered) untilMs = Date.now() + ATTACH_MS;
  }
  return false;
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

function broken(error: ServiceError, answered: boolean, { spec, socket }: { spec: MountSpec; socket: string }): Error {
  if (error.code === status.DEADLINE_EXCEEDED || (!answered && error.code === status.UNAVAILABLE))
    return new HostUnreachable(error.details, { cause: error });
  return failed(spec.mountpoint, `the host service at ${socket} ended the call (${error.details})`, "see its log");
}
