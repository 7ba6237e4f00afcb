// Asks a decision service by the standard gRPC health protocol whether it serves; for container health checks, where no
// grpc_health_probe binary is at hand. Not a client of the decision contract.
//
// Usage: decision-health.mjs [TARGET]   exit 0: SERVING, 1: anything else (one line on stderr)
import { Client, credentials } from "@grpc/grpc-js";

const target = process.argv[2] ?? "127.0.0.1:50051";
const DEADLINE_MS = 2000;
/** HealthCheckResponse { ServingStatus status = 1 }: an absent field is UNKNOWN. */
const SERVING = 1;
const EMPTY_REQUEST = Buffer.alloc(0);
const readStatus = (bytes) => (bytes.length >= 2 && bytes[0] === 0x08 ? bytes[1] : 0);

const finish = (problem) => {
  client.close();
  if (problem !== undefined) process.stderr.write(`decision-health: ${target}: ${problem}\n`);
  process.exit(problem === undefined ? 0 : 1);
};

const client = new Client(target, credentials.createInsecure());
client.makeUnaryRequest(
  "/grpc.health.v1.Health/Check",
  () => EMPTY_REQUEST,
  readStatus,
  {},
  { deadline: Date.now() + DEADLINE_MS },
  (error, status) => {
    if (error) finish(error.message);
    else finish(status === SERVING ? undefined : `health status ${status}, not serving`);
  },
);
