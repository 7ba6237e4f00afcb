/** The floor: a process that answers each length-prefixed question with one decision, and does nothing else. */
import { createServer } from "node:net";
import { wire } from "@sluice/decision-api";

const DECISION = wire.DecideResponse.fromPartial({
  questionId: "q",
  decision: {
    effect: wire.Effect.GRANT,
    decisionId: "d-AbCdEfGhIjKlMnOp-1",
    policyId: "policy.yaml",
    rule: "projects",
    revision: { sequence: 1n, digest: "a".repeat(64) },
    reason: "rule 'projects' matches for read",
  },
});

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(4 + message.length);
  framed.writeUInt32LE(message.length, 0);
  framed.set(message, 4);
  return framed;
}

/** Calls back for each whole message of a stream of bytes. */
export function unframe(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
      const end = 4 + rest.readUInt32LE(0);
      onMessage(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  };
}

const path = process.argv[2];
if (path !== undefined && process.argv[1]?.endsWith("raw-server.js") === true) {
  createServer((socket) => {
    const answer = (message: Buffer): void => {
      wire.DecideRequest.decode(message);
      socket.write(frame(wire.DecideResponse.encode(DECISION).finish()));
    };
    socket.on("data", unframe(answer)).on("error", () => undefined);
  }).listen(path, () => process.stdout.write("listening\n"));
}
