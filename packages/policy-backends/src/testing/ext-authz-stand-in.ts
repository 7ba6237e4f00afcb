/**
 * A stand-in for a server of Envoy's external authorization API (v3), of which none is in a package registry: it speaks by
 * the public definition (proto/ext-authz.proto), read by another implementation than the one under test. For tests.
 */
import { fileURLToPath } from "node:url";
import { type GrpcObject, loadPackageDefinition, Server, ServerCredentials, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** The fields that are read, as the definition names them. */
export interface CheckInput {
  attributes: {
    source: { principal: string };
    request: { http: { id: string; method: string; path: string; host: string; headers: Record<string, string>; size: string } };
    context_extensions: Record<string, string>;
  };
}

const PROTO = fileURLToPath(new URL("../../proto/ext-authz.proto", import.meta.url));

/** `check` gives a CheckResponse as the definition names it; throws for a gRPC error. */
export async function startExtAuthzStandIn(
  socket: string,
  check: (input: CheckInput) => unknown,
): Promise<{ target: string; close(): void }> {
  const loaded = loadPackageDefinition(loadSync(PROTO, { keepCase: true, longs: String }));
  const v3 = ["envoy", "service", "auth", "v3"].reduce((at, name) => at[name] as GrpcObject, loaded);
  const { service } = v3["Authorization"] as ServiceClientConstructor;
  const server = new Server();
  server.addService(service, {
    Check(call: { request: CheckInput }, callback: (error: Error | null, response?: unknown) => void) {
      try {
        callback(null, check(call.request));
      } catch (error) {
        callback(error as Error);
      }
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
  );
  return { target: `unix://${socket}`, close: () => server.forceShutdown() };
}
