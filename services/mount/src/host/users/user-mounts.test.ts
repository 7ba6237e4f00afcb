/** Connections of users are taken one at a time, so that a service has turns for its mounts. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { native, POLL, toBytes } from "@sluice/native";
import { createLogger } from "@sluice/runtime";
import { expect, it } from "vitest";
import { UserMounts } from "./user-mounts.js";

const CLIENTS = 60;
const PRIVATE = 0o600;

it("takes one of many waiting connections in a turn, and answers all of them", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-users-"));
  const path = toBytes(join(directory, "users.sock"));
  const fd = native.seqpacketListen(path, PRIVATE, CLIENTS);
  const clients = Array.from({ length: CLIENTS }, () => native.seqpacketConnect(path));
  const answered = (): number => clients.filter((client) => (native.pollNow(client, POLL.IN, 0) & POLL.IN) !== 0).length;
  const socket = { fd, close: () => void native.close(fd) };
  const logger = createLogger({ name: "test", level: "error", file: join(directory, "log") });
  // It makes no mount: each user may have none.
  const users = new UserMounts(socket, { file: "/bin/true", argv: [] }, 0, logger);
  const counts = [0];
  while ((counts.at(-1) as number) < CLIENTS) {
    await nextTurn();
    counts.push(answered());
  }
  const steps = counts.slice(1).map((count, at) => count - (counts[at] as number));
  expect(Math.max(...steps)).toBe(1);
  users.stop();
  await users.ended();
  for (const client of clients) native.close(client);
  rmSync(directory, { recursive: true });
});
