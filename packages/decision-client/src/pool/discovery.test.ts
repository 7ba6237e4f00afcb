// Replicas that come and go behind one target: each is found by the next look, and there are two looks a second.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { connectDecider } from "../connect.js";

const LOOK_MS = 500;

/** Not expect.poll, which moves the clock that the client goes by. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500 && !holds(); turn++) await sleep(10);
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

it("a replica is dialled within half a second, and left within half a second when it is gone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-discovery-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  // Only what is waited for on purpose: however slow the machine is, these are the times that the client means.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const decider = connectDecider({ target: `unix://${directory}/*.sock`, mount: "m", clientVersion: "0" });
  onTestFinished(() => decider.close());
  const addresses = (): string[] => decider.status().replicas.map(({ address }) => address);
  // The first look, which found nothing.
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
