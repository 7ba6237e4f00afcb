/**
 * The standard health service of gRPC (grpc.health.v1), for balancers and probes. It has the few services of one process: `List` needs no
 * limit. The package `grpc-health-check` does the same, and reads its .proto file at each start: that took a quarter of the start.
 */
import { type Server, type ServerWritableStream, type ServiceError, status as code } from "@grpc/grpc-js";
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthServer,
  HealthService as DEFINITION,
} from "../gen/grpc/health/v1/health.js";

type Watch = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

export class HealthService {
  readonly #statuses: Map<string, ServingStatus>;
  readonly #watches = new Set<Watch>();

  /** Each of these services is serving; "" stands for the whole server. */
  constructor(services: readonly string[]) {
    this.#statuses = new Map(services.map((name) => [name, ServingStatus.SERVING]));
  }

  addTo(server: Server): void {
    const handlers: HealthServer = {
      check: ({ request: { service } }, callback) => {
        const status = this.#statuses.get(service);
        if (status !== undefined) callback(null, { status });
        else callback(unknownService(service));
      },
      watch: (watch) => this.#watch(watch),
      list: (_call, callback) => {
        callback(null, { statuses: Object.fromEntries([...this.#statuses].map(([name, status]) => [name, { status }])) });
      },
    };
    server.addService(DEFINITION, handlers);
  }

  /** Says so of every service, to watchers at once. */
  stopServing(): void {
    for (const name of this.#statuses.keys()) this.#statuses.set(name, ServingStatus.NOT_SERVING);
    for (const watch of this.#watches) if (this.#statuses.has(watch.request.service)) this.#tell(watch);
  }

  #watch(watch: Watch): void {
    this.#watches.add(watch);
    watch.on("cancelled", () => this.#watches.delete(watch));
    this.#tell(watch);
  }

  #tell(watch: Watch): void {
    watch.write({ status: this.#statuses.get(watch.request.service) ?? ServingStatus.SERVICE_UNKNOWN });
  }
}

function unknownService(name: string): Partial<ServiceError> {
  return { code: code.NOT_FOUND, details: `Health status unknown for service ${name}` };
}
