// Asks a mount at its control socket, as `sluice status --json` and `sluice grants --json` do. Tests ask so often that each start of the
// command would cost more processor time than the rest of the test; the commands themselves have tests of their own (test/operator,
// test/e2e/commands).
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

/** Of root's mounts: packages/mount-control/src/run-directory.ts. */
const RUN_DIRECTORY = "/run/sluice";
/** Then the command asks, and says what is wrong. */
const ANSWER_MS = 10_000;

export type Question = { method: "status" } | { method: "grants"; watch: false };

function socketOf(mountpoint: string): string {
  const name = createHash("sha256").update(mountpoint).digest("hex").slice(0, 16);
  return join(RUN_DIRECTORY, name, "control.sock");
}

/** Resolves with the lines of the whole answer, or with undefined if the connection ends before. */
function linesOf(socket: Socket, question: Question): Promise<string[] | undefined> {
  let text = "";
  return new Promise((resolve) => {
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (part: string) => (text += part));
    socket.on("error", () => undefined); // "close" follows.
    socket.on("close", () => resolve(text.endsWith("\n") ? text.trimEnd().split("\n") : undefined));
    socket.write(`${JSON.stringify(question)}\n`);
  });
}

async function askOnce(mountpoint: string, question: Question): Promise<unknown[] | undefined> {
  const lines = (await linesOf(connect(socketOf(mountpoint)), question)) ?? [];
  const answer = lines.map((line) => JSON.parse(line) as { item?: unknown; done?: true });
  return answer.at(-1)?.done === true ? answer.slice(0, -1).map(({ item }) => item) : undefined;
}

/**
 * The items of the answer; undefined if nobody answers there: let the command find out why.
 * It asks twice: the server has then read every request that the kernel had for it before the first question, such as the end of a file
 * that was closed a moment ago.
 */
export async function askControl(mountpoint: string, question: Question): Promise<unknown[] | undefined> {
  return (await askOnce(mountpoint, question)) === undefined ? undefined : askOnce(mountpoint, question);
}
