import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { native, POLL } from "@sluice/native";
import { expect, test } from "vitest";
import type { Held } from "./held.js";
import { SERVER_FDS } from "./keeper-config.js";
import { supervise } from "./run-keeper.js";

/** Not of SIGPIPE: Node ignores it from its start, but no longer after its last listener went. Then it kills the tests of other files. */
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

function listeners(): [NodeJS.Signals, NodeJS.SignalsListener][] {
  return SIGNALS.flatMap((signal) =>
    process.listeners(signal).map((listener): [NodeJS.Signals, NodeJS.SignalsListener] => [signal, listener as NodeJS.SignalsListener]),
  );
}

test("a mount that is over is given back while the process of its server still ends", async () => {
  const runDirectory = mkdtempSync(join(tmpdir(), "run-keeper-"));
  const pair = new Int32Array(2);
  native.seqpacketPair(pair);
  const [life, handed] = pair as unknown as [number, number];
  const done: string[] = [];
  let link = -1;
  const held: Held = {
    ...{ name: "m", begun: true, connectionOver: true, isOver: () => true },
    connect: (socket, events) => {
      link = socket;
      setImmediate(() => events.lost());
      return { greet: () => undefined, drain: () => undefined, read: () => Promise.resolve(), close: () => undefined };
    },
    end: () => Promise.resolve(void done.push("ended")),
  };
  const before = listeners().map(([, listener]) => listener);
  const mayEnd = join(mkdtempSync(join(tmpdir(), "run-keeper-")), "may-end");
  execFileSync("mkfifo", [mayEnd]);
  const script = `exec ${SERVER_FDS.handed}>&-; read line < ${mayEnd}`;
  const server = { file: "/bin/sh", argv: ["-c", script] };
  let isOver = false;
  const running = supervise({ held, serverConfig: "{}", handed: [handed], server, graceMs: undefined, runDirectory }).finally(() => {
    isOver = true;
  });
  try {
    await expect.poll(() => native.pollNow(life, 0, 0) & POLL.HUP, { timeout: 10_000 }).not.toBe(0);
    expect([isOver, done, existsSync(runDirectory)]).toEqual([false, ["ended"], false]);
  } finally {
    writeFileSync(mayEnd, "yes\n");
    await running;
    rmSync(dirname(mayEnd), { recursive: true });
    for (const fd of [life, link]) native.close(fd);
    for (const [signal, listener] of listeners()) if (!before.includes(listener)) process.off(signal, listener);
  }
  expect(done).toEqual(["ended"]);
});
