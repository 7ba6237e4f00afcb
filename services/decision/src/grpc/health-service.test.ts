// The health service as probes and balancers ask it: by gRPC on a socket.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientReadableStream, credentials, Server, ServerCredentials, type ServiceError, status as code } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthClient,
  type HealthListResponse,
} from "../gen/grpc/health/v1/health.js";
import { HealthService } from "./health-service.js";

let directory = "";
let server: Server;
let client: HealthClient;
let health: HealthService;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-health-"));
  server = new Server();
  health = new HealthService(["", "a.Service"]);
  health.addTo(server);
  const target = `unix:${join(directory, "h.sock")}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(target, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
  );
  client = new HealthClient(target, credentials.createInsecure());
});
afterEach(() => {
  client.close();
  server.forceShutdown();
  rmSync(directory, { recursive: true });
});

function check(service: string): Promise<ServingStatus | ServiceError> {
  return new Promise((resolve) => client.check({ service }, (error, response) => resolve(error ?? response.status)));
}

/** Watches a service. @returns the statuses so far */
function watch(service: string): { heard: ServingStatus[]; stream: ClientReadableStream<HealthCheckResponse> } {
  const heard: ServingStatus[] = [];
  const stream = client.watch({ service });
  stream.on("data", ({ status }: HealthCheckResponse) => heard.push(status));
  stream.on("error", () => undefined); // it is cut at the end of the test
  return { heard, stream };
}

it("a check tells that the server and each of its services serve, until they stop", async () => {
  expect([await check(""), await check("a.Service")]).toEqual([ServingStatus.SERVING, ServingStatus.SERVING]);
  health.stopServing();
  expect([await check(""), await check("a.Service")]).toEqual([ServingStatus.NOT_SERVING, ServingStatus.NOT_SERVING]);
});

it("a check of a service that the server does not have is NOT_FOUND", async () => {
  expect(await check("another")).toMatchObject({ code: code.NOT_FOUND, details: "Health status unknown for service another" });
});

it("a watcher hears the status now and the end of serving, and of an unknown service that it is unknown", async () => {
  const [known, unknown] = [watch("a.Service"), watch("another")];
  await expect.poll(() => [known.heard, unknown.heard]).toEqual([[ServingStatus.SERVING], [ServingStatus.SERVICE_UNKNOWN]]);
  health.stopServing();
  await expect.poll(() => known.heard).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  expect(unknown.heard).toEqual([ServingStatus.SERVICE_UNKNOWN]);
  expect(unknown.stream.closed).toBe(false);
});

it("a list has every service", async () => {
  const listed = await new Promise<HealthListResponse>((resolve, reject) =>
    client.list({}, (error, response) => (error === null ? resolve(response) : reject(error))),
  );
  const serving = { status: ServingStatus.SERVING };
  expect(listed).toEqual({ statuses: { "": serving, "a.Service": serving } });
});

it("a status is field 1 of its message, as probes read it without this definition", () => {
  expect([...HealthCheckResponse.encode({ status: ServingStatus.NOT_SERVING }).finish()]).toEqual([0x08, 2]);
});
