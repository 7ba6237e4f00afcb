/**
 * Services beside the real ones that must have no effect: one speaks no gRPC, one sends malformed answers in well-formed
 * messages.
 */
import { createServer } from "node:net";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import { cleanUp } from "@sluice/testkit";

type Stream = ServerDuplexStream<wire.SessionRequest, wire.SessionResponse>;

export async function startNoise(directory: string): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => undefined).on("data", () => void socket.write(randomBytes(256))));
  await new Promise<void>((resolve) => server.listen(join(directory, "noise.sock"), resolve));
  cleanUp(() => void server.close());
}

const NONSENSE: wire.Decision = {
  effect: wire.Effect.GRANT,
  errno: 0,
  decisionId: "",
  policyId: "nonsense",
  rule: "",
  revision: undefined,
  reason: "",
  obligations: [],
  scope: undefined,
  pending: undefined,
  byPerson: false,
  rates: [],
  mayMatch: undefined,
  onOutage: wire.OutageMode.UNSPECIFIED,
};

/** Claims to have the policy in force. */
export async function startNonsense(directory: string, revision: { sequence: bigint; digest: string }): Promise<() => void> {
  const capabilities = wire.Capabilities.fromPartial({ revision, policyId: "nonsense" });
  const session = (stream: Stream): void => {
    stream.on("error", () => undefined);
    stream.on("end", () => stream.end());
    stream.on("data", ({ message }: wire.SessionRequest) => {
      if (message?.$case === "hello") {
        stream.write({ message: { $case: "welcome", value: { serverVersion: "0", capabilities } } });
      } else if (message?.$case === "batch") {
        const answers = message.value.questions.map(({ id }) => ({ id, result: { $case: "decision" as const, value: NONSENSE } }));
        stream.write({ message: { $case: "batch", value: { answers } } });
      }
    });
  };
  const server = new Server();
  server.addService({ session: wire.DecisionServiceService.session }, { session });
  const address = `unix:${join(directory, "nonsense.sock")}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
  );
  cleanUp(() => server.forceShutdown());
  return () => server.forceShutdown();
}
