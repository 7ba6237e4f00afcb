/** The gRPC server: its services, its addresses, and how it stops. */
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import { MAX_MESSAGE_BYTES } from "@sluice/decision-api";
import { CliError, EXIT, type Logger } from "@sluice/runtime";
import type { ListenTarget } from "./listen-target.js";
import { onlyNamed } from "./client-names.js";
import { HealthService } from "./health-service.js";
import { type Handlers, SERVICE_DEFINITION } from "./service-definition.js";
import { serverCredentials } from "./tls.js";
import type { TlsFiles } from "./tls-files.js";
import { listenOnFd, listenOnUnix } from "./unix-listener.js";

const SERVICE = "sluice.decision.v1.DecisionService";

export interface GrpcServerOptions {
  handlers: Handlers;
  listen: ListenTarget;
  tls: TlsFiles | undefined;
  allowedUids: readonly number[];
  /** Of a unix socket: only this process may connect. */
  onlyPid?: number | undefined;
  log: Logger;
}
export interface GrpcServer {
  /** As clients write it: "unix:///…" or "127.0.0.1:50051". */
  target: string;
  /** Takes no further connection, and says so to health checks. */
  stopAccepting(): void;
  /** Resolves when every call has ended, or `graceMs` have passed and those left were cut. */
  shutdown(graceMs: number): Promise<void>;
}

interface Listening {
  target: string;
  stop(): void;
}

/** grpc-js would write a line of its own to standard error, beside the one that says what to do. */
function muteGrpc(): () => void {
  if (process.env["GRPC_VERBOSITY"] !== undefined) return () => undefined;
  setLogVerbosity(logVerbosity.NONE);
  return () => setLogVerbosity(logVerbosity.ERROR);
}

/** grpc-js names the errno in a sentence about all addresses that it tried. */
function cannotListen(address: string, cause: Error): CliError {
  const errno = /\blisten (E[A-Z]+)\b/.exec(cause.message)?.[1];
  const problem = errno === undefined ? `address cannot be listened on: ${cause.message}` : "address cannot be listened on";
  return new CliError({ object: `--listen ${address}`, problem, errno, remedy: "choose another one", exitCode: EXIT.USAGE }, { cause });
}

async function bindTcp(server: Server, options: GrpcServerOptions, { host, port }: { host: string; port: number }): Promise<Listening> {
  const { credentials, close } = serverCredentials(options.tls, options.log);
  const address = `${host.includes(":") ? `[${host}]` : host}`;
  const unmute = muteGrpc();
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${address}:${port}`, credentials, (cause, boundPort) => {
      if (cause === null) resolve(boundPort);
      else reject(cannotListen(`${address}:${port}`, cause));
    });
  }).finally(unmute);
  if (options.tls === undefined && !/^(127\.|localhost$|::1$)/.test(host)) {
    options.log.warn({ address: `${address}:${bound}` }, "listening without TLS: anybody on the network may ask and read the answers");
  }
  const stop = (): void => {
    close();
    server.unbind(`${address}:${bound}`);
  };
  return { target: `${address}:${bound}`, stop };
}

async function bindLocal(server: Server, options: GrpcServerOptions): Promise<Listening> {
  const { listen } = options;
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const { allowedUids, onlyPid, log } = options;
  const rules = { allowedUids: new Set(allowedUids), onlyPid, log, accept: injector.injectConnection.bind(injector) };
  if (listen.kind === "unix") {
    const { server: listener, unlink } = await listenOnUnix(listen.path, rules);
    const stop = (): void => {
      unlink();
      listener.close();
    };
    return { target: `unix://${listen.path}`, stop };
  }
  const fd = (listen as { fd: number }).fd;
  const listener = await listenOnFd(fd, rules);
  return { target: `fd:${fd}`, stop: () => void listener.close() };
}

/** @returns a function that says that the service ends. A service that only one process may reach has no balancers and probes. */
function addHealth(server: Server, { onlyPid }: GrpcServerOptions): () => void {
  if (onlyPid !== undefined) return () => undefined;
  const health = new HealthService(["", SERVICE]);
  health.addTo(server);
  return () => health.stopServing();
}

/** Throws `CliError` if it cannot listen. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const names = options.tls?.clientSans ?? [];
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": 256,
    ...(names.length === 0 ? {} : { interceptors: [onlyNamed(names, options.log)] }),
  });
  server.addService(SERVICE_DEFINITION, options.handlers);
  const tellEnd = addHealth(server, options);
  const listening = options.listen.kind === "tcp" ? await bindTcp(server, options, options.listen) : await bindLocal(server, options);
  let accepting = true;
  return {
    target: listening.target,
    stopAccepting() {
      if (!accepting) return;
      accepting = false;
      tellEnd();
      listening.stop();
    },
    shutdown(graceMs) {
      return new Promise((resolve) => {
        const cut = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      });
    },
  };
}
