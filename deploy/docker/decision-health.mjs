// Asks a decision service by the standard gRPC health protocol whether it serves; for container health checks, where no
// grpc_health_probe binary is at hand. Not a client of the decision contract.
//
// One question in one HTTP/2 request: it runs every few seconds, and a gRPC library takes six times as long to load.
//
// Usage: decision-health.mjs [TARGET [CERTIFICATES]]   exit 0: SERVING, 1: anything else (one line on stderr)
// CERTIFICATES: a directory with ca.pem, cert.pem and key.pem; without it plain gRPC.
import { readFileSync } from "node:fs";
import { connect as begin } from "node:http2";
import { connect as dial } from "node:net";
import { join } from "node:path";

const [target = "127.0.0.1:50051", certificates] = process.argv.slice(2);
const DEADLINE_MS = 5000;
/** Of a message in the body: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
const EMPTY_REQUEST = Buffer.alloc(PREFIX_BYTES);
/** HealthCheckResponse { ServingStatus status = 1 }: an absent field is UNKNOWN. */
const SERVING = 1;
const readStatus = (bytes) => (bytes.length >= 2 && bytes[0] === 0x08 ? bytes[1] : 0);

const finish = (problem) => {
  if (problem !== undefined) process.stderr.write(`decision-health: ${target}: ${problem}\n`);
  process.exit(problem === undefined ? 0 : 1);
};

/** A name, since no certificate is asked for by address. */
const secured = () => {
  const [ca, key, cert] = ["ca.pem", "key.pem", "cert.pem"].map((name) => readFileSync(join(certificates, name)));
  return { ca, key, cert, servername: "localhost" };
};

const connect = () => {
  if (target.startsWith("unix:")) {
    const path = target.slice("unix:".length).replace(/^\/\//, "");
    return begin("http://localhost", { createConnection: () => dial(path) });
  }
  return certificates === undefined ? begin(`http://${target}`) : begin(`https://${target}`, secured());
};

const check = (session) => {
  const request = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const parts = [];
  let answered = false;
  // An error without a message comes with the response, all others after its body.
  const take = ({ "grpc-status": code, "grpc-message": message }) => {
    answered ||= code !== undefined;
    if (code !== undefined && code !== "0") finish(message ?? `gRPC status ${code}`);
  };
  request.on("response", take);
  request.on("trailers", take);
  request.on("data", (part) => parts.push(part));
  request.on("error", (error) => finish((error.cause ?? error).message));
  request.on("end", () => {
    if (!answered) finish("the service ended the connection without an answer");
    const status = readStatus(Buffer.concat(parts).subarray(PREFIX_BYTES));
    finish(status === SERVING ? undefined : `health status ${status}, not serving`);
  });
  request.end(EMPTY_REQUEST);
};

try {
  setTimeout(() => finish(`no answer within ${DEADLINE_MS} ms`), DEADLINE_MS);
  const session = connect();
  session.on("error", (error) => finish(error.message));
  check(session);
} catch (error) {
  finish(error.message);
}
