/** The calls of the contract (proto/sluice/host/v1), on the mounts of this process. */
import { type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { failureOf, NeedsOwnProcess, ownMountNamespace, wire } from "@sluice/host-api";
import { unfit } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import type { HostedMount, Person } from "./hosted-mount.js";
import type { HostedMounts, RunningMount } from "./hosted-mounts.js";
import { clientProcess } from "./mount-client.js";
import type { Division } from "./processes/divide-mounts.js";
import type { EndAnswer, ListAnswer, Question } from "./processes/other-processes.js";

/** The configuration that the options of the command mean. @throws CliError */
export type ParseSpec = (spec: wire.MountSpec) => MountConfig;

export interface Handling {
  mounts: HostedMounts;
  parse: ParseSpec;
  /** Called for each mount that is the view of a session. */
  onSession(): void;
  /** How mounts are divided among several processes, for the one that takes the clients. */
  division?: Division | undefined;
}

/** A call of Mount, by gRPC or in plain lines. */
export interface MountCall {
  /** The process of the client, as the kernel knows it. */
  peerPid?(): number | undefined;
  onRequest(take: (request: wire.MountRequest) => void): void;
  /** `leave` is called if the client ends the call, or is gone. */
  onEnd(leave: () => void): void;
  write(response: { message: NonNullable<wire.MountResponse["message"]> }): void;
  refuse(details: string, code: status): void;
  end(): void;
}

type GrpcCall = ServerDuplexStream<wire.MountRequest, wire.MountResponse>;

/** The request `first` was read already. */
function byGrpc(call: GrpcCall, first: wire.MountRequest): MountCall {
  return {
    onRequest: (take) => {
      take(first);
      call.on("data", take);
    },
    onEnd: (leave) => call.on("cancelled", leave).on("error", leave),
    write: (response) => call.write(response),
    refuse: (details, code) => call.emit("error", { code, details }),
    end: () => call.end(),
  };
}

const STATES: Readonly<Record<HostedMount["state"], wire.HostedMount_State>> = {
  starting: wire.HostedMount_State.STARTING,
  serving: wire.HostedMount_State.SERVING,
  ending: wire.HostedMount_State.ENDING,
};

/** The same path may be another directory there. @throws NeedsOwnProcess */
function refuseOtherNamespace({ mountpoint, mountNamespace }: wire.MountSpec): void {
  if (mountNamespace === 0 || mountNamespace === ownMountNamespace()) return;
  const problem = "it is in another mount namespace than the host service (EXDEV)";
  throw new NeedsOwnProcess(unfit(mountpoint, problem, "mount with --host-service off"));
}

/** One call of Mount: it makes one mount, and an attached mount ends with it. */
class MountSession {
  #running: RunningMount | undefined;
  #attached = true;
  /** It was asked to end already. */
  #stopped = false;
  #over = false;

  constructor(
    private readonly parts: Handling,
    private readonly call: MountCall,
  ) {
    call.onRequest((request) => this.#take(request));
    // Nobody waits for a mount that does not serve yet, and an attached one is nobody's any more.
    call.onEnd(() => this.#leave());
  }

  #take({ message }: wire.MountRequest): void {
    if (message?.$case === "stop") this.#stop();
    else if (this.#running !== undefined) this.#refuse("a call makes one mount");
    else if (message?.$case === "attach") void this.#join(message.value);
    else if (message?.$case !== "begin") this.#refuse("the message is of no known kind");
    else void this.#make(message.value);
  }

  #stop(): void {
    this.#running?.mount.stopForClient(this.#stopped);
    this.#stopped = true;
  }

  #refuse(details: string, code = status.INVALID_ARGUMENT): void {
    this.#over = true;
    this.call.refuse(details, code);
  }

  readonly #person: Person = {
    announce: (line) => this.#announce(line),
    tell: (line) => this.#send({ $case: "notice", value: line }),
  };

  async #make(spec: wire.MountSpec): Promise<void> {
    const { attached, abandonedAtEnd } = spec;
    this.#attached = attached;
    try {
      refuseOtherNamespace(spec);
      const { mounts, parse, onSession } = this.parts;
      this.#running = mounts.begin(parse(spec), this.#person, { attached, abandonedAtEnd, process: clientProcess(this.call.peerPid?.()) });
      if (abandonedAtEnd) onSession();
      await this.#follow(this.#running);
    } catch (error) {
      this.#end(failureOf(error));
    }
  }

  /** This call takes the place of one that broke with a process before this one. */
  async #join({ mountpoint }: wire.Attach): Promise<void> {
    const running = this.parts.mounts.at(mountpoint);
    if (running?.mount.attach(this.#person) !== true)
      return this.#refuse(`${mountpoint}: no such mount waits for its client`, status.NOT_FOUND);
    this.#running = running;
    this.#announce("");
    await this.#follow(running);
  }

  async #follow({ mount, ended }: RunningMount): Promise<void> {
    try {
      await Promise.race([mount.left, ended]);
      this.#end(undefined);
    } catch (error) {
      this.#end(failureOf(error));
    }
  }

  #announce(line: string): void {
    const { config, outlivesProcess = false } = this.#running?.mount ?? {};
    this.#send({ $case: "mounted", value: { line, mountpoint: outlivesProcess ? (config?.mountpoint ?? "") : "" } });
    if (!this.#attached) this.#close();
  }

  #end(failure: wire.Failure | undefined): void {
    this.#send({ $case: "ended", value: { failure } });
    this.#close();
  }

  #send(message: NonNullable<wire.MountResponse["message"]>): void {
    if (!this.#over) this.call.write({ message });
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.call.end();
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#running?.mount.stopForClient(false);
  }
}

function listed({ mount }: RunningMount): wire.HostedMount[] {
  if (mount.isGone || mount.config === undefined) return [];
  const { mountpoint, name } = mount.config;
  return [{ mountpoint, name, state: STATES[mount.state], since: new Date(mount.sinceMs) }];
}

async function endMount(mounts: HostedMounts, { mountpoint, force }: wire.EndMountRequest): Promise<wire.EndMountResponse | undefined> {
  const running = mounts.at(mountpoint);
  if (running === undefined) return undefined;
  running.mount.stop(force);
  try {
    await Promise.race([running.mount.left, running.ended]);
    return { failure: undefined };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

/** Takes a call of Mount. */
export function handleMount(parts: Handling, call: MountCall): void {
  void new MountSession(parts, call);
}

function handleGrpc(parts: Handling, grpc: GrpcCall): void {
  grpc.once("data", (first: wire.MountRequest) => {
    const call = byGrpc(grpc, first);
    if (parts.division === undefined) return handleMount(parts, call);
    grpc.pause();
    void parts.division.relay(first, call).then((relayed) => {
      if (!relayed) handleMount(parts, call);
      grpc.resume();
    });
  });
}

async function listAll({ mounts, division }: Handling): Promise<wire.HostedMount[]> {
  const others = (await division?.others.list()) ?? [];
  return [...mounts.all().flatMap(listed), ...others].sort((a, b) => (a.mountpoint < b.mountpoint ? -1 : 1));
}

async function endAnywhere({ mounts, division }: Handling, request: wire.EndMountRequest): Promise<wire.EndMountResponse | undefined> {
  return (await endMount(mounts, request)) ?? division?.others.end(request);
}

/** Completes a call. @param work undefined: there is no such thing */
function answer<T>(work: Promise<T | undefined>, done: sendUnaryData<T>, missing: string): void {
  work.then(
    (value) => (value === undefined ? done({ code: status.NOT_FOUND, details: missing }) : done(null, value)),
    (error: unknown) => done({ code: status.UNAVAILABLE, details: (error as Error).message }),
  );
}

export function hostHandlers(parts: Handling): wire.HostServiceServer {
  return {
    mount: (call: GrpcCall) => handleGrpc(parts, call),
    listMounts: (_call: unknown, done: sendUnaryData<wire.ListMountsResponse>) =>
      answer(
        listAll(parts).then((mounts) => ({ mounts })),
        done,
        "",
      ),
    endMount: ({ request }: ServerUnaryCall<wire.EndMountRequest, wire.EndMountResponse>, done: sendUnaryData<wire.EndMountResponse>) =>
      answer(endAnywhere(parts, request), done, `${request.mountpoint}: the host service has no such mount`),
  };
}

/** Answers a question of the first process. */
export async function answerQuestion({ mounts }: Pick<Handling, "mounts">, question: Question): Promise<ListAnswer | EndAnswer> {
  if (question.$case === "end") return (await endMount(mounts, question.value)) ?? null;
  const listedMounts = mounts.all().flatMap(listed);
  return {
    mounts: listedMounts.map(({ since, ...mount }) => ({ ...mount, sinceMs: since?.getTime() ?? 0 })),
    count: mounts.count,
  };
}
