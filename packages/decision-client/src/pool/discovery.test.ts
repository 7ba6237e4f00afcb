// Replicas behind one target come and go: the next look finds each of them, and there are two looks a second.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { connectDecider } from "../connect.js";
import { NO_EVENTS } from "../decision-client-events.js";

const LOOK_MS = 500;

/** Not expect.poll, which advances the client's clock. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500 && !holds(); turn++) await sleep(10);
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

it("uses the replicas of a list if a name in it cannot be resolved, and tells that once", async () => {
  const told: string[] = [];
  const events = { ...NO_EVENTS, unreachable: (address: string, reason: string) => told.push(`${address}: ${reason}`) };
  const target = "unix:/nonexistent/*.sock,unix:/nonexistent.sock";
  const decider = connectDecider({ target, mount: "m", clientVersion: "0", events });
  onTestFinished(() => decider.close());
  await until(() => told.length > 1 && decider.status().replicas.some(({ why }) => why !== undefined));
  expect(decider.status().replicas).toMatchObject([{ address: "unix:/nonexistent.sock", why: "connect ENOENT /nonexistent.sock" }]);
  expect(decider.status().unresolved).toEqual(["ENOENT: no such file or directory, scandir '/nonexistent'"]);
  expect(new Set(told)).toEqual(
    new Set([
      `${target}: ENOENT: no such file or directory, scandir '/nonexistent'`,
      "unix:/nonexistent.sock: connect ENOENT /nonexistent.sock",
    ]),
  );
  expect(told).toHaveLength(2);
});

it("dials a new replica within half a second, and leaves a removed one within half a second", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-discovery-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  // The clock counts only intended waits: these are the client's own times, however slow the machine is.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const decider = connectDecider({ target: `unix://${directory}/*.sock`, mount: "m", clientVersion: "0" });
  onTestFinished(() => decider.close());
  const addresses = (): string[] => decider.status().replicas.map(({ address }) => address);
  // The first look found nothing.
  await until(() => vi.getTimerCount() > 0);
  expect(addresses()).toEqual([]);
  const servers = [await listen(join(directory, "a.sock")), await listen(join(directory, "b.sock"))];
  onTestFinished(() => servers.forEach((server) => server.close()));
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  await until(() => addresses().length === 2);
  expect(addresses().sort()).toEqual(["a", "b"].map((name) => `unix:${directory}/${name}.sock`));
  await sleep(50);
  servers[0]?.close();
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  await until(() => addresses().length === 1);
  expect(addresses()).toEqual([`unix:${directory}/b.sock`]);
});
