// Asks a decision service by the standard gRPC health protocol whether it serves; for container health checks, where no
// grpc_health_probe binary is at hand. Not a client of the decision contract.
//
// Usage: decision-health.mjs [TARGET [CERTIFICATES]]   exit 0: SERVING, 1: anything else (one line on stderr)
// CERTIFICATES: a directory with ca.pem, cert.pem and key.pem; without it plain gRPC.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";

const [target = "127.0.0.1:50051", certificates] = process.argv.slice(2);
const DEADLINE_MS = 5000;
/** HealthCheckResponse { ServingStatus status = 1 }: an absent field is UNKNOWN. */
const SERVING = 1;
const EMPTY_REQUEST = Buffer.alloc(0);
const readStatus = (bytes) => (bytes.length >= 2 && bytes[0] === 0x08 ? bytes[1] : 0);

const finish = (problem) => {
  if (problem !== undefined) process.stderr.write(`decision-health: ${target}: ${problem}\n`);
  process.exit(problem === undefined ? 0 : 1);
};

const channelCredentials = () => {
  if (certificates === undefined) return credentials.createInsecure();
  const [ca, key, cert] = ["ca.pem", "key.pem", "cert.pem"].map((name) => readFileSync(join(certificates, name)));
  return credentials.createSsl(ca, key, cert);
};

try {
  // A name, since no certificate is asked for by address.
  const client = new Client(target, channelCredentials(), { "grpc.ssl_target_name_override": "localhost" });
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
} catch (error) {
  finish(error.message);
}
