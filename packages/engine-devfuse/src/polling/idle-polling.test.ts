/** The request for a CPU latency to the kernel, also if the kernel refuses it. */
import { afterEach, expect, test } from "vitest";
import { clock } from "./clock.js";
import { connections } from "./connections.js";
import { IdlePolling } from "./idle-polling.js";
import type { LatencyRequest } from "./latency-request.js";

const REFUSED = "the device cannot be written to (EINVAL)";

class Request implements LatencyRequest {
  readonly calls: string[] = [];
  refuses = "";

  hold = (): string => this.#call("hold");
  release = (): string => this.#call("release");
  close = (): void => void this.calls.push("close");

  #call(name: string): string {
    this.calls.push(name);
    return this.refuses === name ? REFUSED : "";
  }
}

const made: IdlePolling[] = [];
afterEach(() => {
  for (const polling of made.splice(0)) polling.close();
});

function idlePolling(wish: "auto" | "on" | "off", request: LatencyRequest | string, processors = 2): IdlePolling {
  const polling = new IdlePolling(wish, { open: () => request, processors: () => processors });
  made.push(polling);
  return polling;
}

/** Requests in a row, each some microseconds after the last reply. */
function burst(polling: IdlePolling): void {
  for (let request = 0; request < 20; request++) {
    clock.tick();
    polling.answered();
    for (const fromUs = clock.us; clock.us < fromUs + 5; ) clock.tick();
    polling.arrived();
  }
}

test("a burst holds the request until it is over, and closing releases it", async () => {
  const request = new Request();
  const polling = idlePolling("on", request);
  burst(polling);
  expect(polling.inUse).toMatchObject({ phase: "held", holds: 1, why: "" });
  expect(request.calls).toEqual(["hold"]);
  await expect.poll(() => request.calls).toEqual(["hold", "release"]);
  burst(polling);
  polling.close();
  expect(request.calls).toEqual(["hold", "release", "hold", "release", "close"]);
  burst(polling);
  expect(request.calls).toHaveLength(5);
});

test("nothing is held while the process has several connections, and again when it has one", async () => {
  const request = new Request();
  const polling = idlePolling("on", request);
  connections.begun();
  burst(polling);
  expect(request.calls).toEqual(["hold"]);
  connections.begun();
  await expect.poll(() => request.calls).toEqual(["hold", "release"]);
  burst(polling);
  expect(request.calls).toEqual(["hold", "release"]);
  expect(polling.inUse).toMatchObject({ phase: "off", why: "this process serves several mounts: none of them is polled for" });
  connections.ended();
  burst(polling);
  expect(request.calls).toEqual(["hold", "release", "hold"]);
  connections.ended();
});

test("a kernel that refuses it is not asked again, and the status says so", () => {
  const request = new Request();
  request.refuses = "hold";
  const polling = idlePolling("on", request);
  burst(polling);
  burst(polling);
  expect(request.calls).toEqual(["hold", "close"]);
  expect(polling.inUse).toMatchObject({ why: REFUSED, holds: 0 });
});

test("a request that cannot be reset by a write is reset by closing its descriptor", async () => {
  const request = new Request();
  const polling = idlePolling("on", request);
  burst(polling);
  request.refuses = "release";
  await expect.poll(() => request.calls).toEqual(["hold", "release", "close"]);
  expect(polling.inUse.why).toBe(REFUSED);
});

test("auto requests nothing on a machine of many processors, and says so; on does", () => {
  const request = new Request();
  const auto = idlePolling("auto", request, 8);
  burst(auto);
  expect(request.calls).toEqual([]);
  expect(auto.inUse.why).toMatch(/up to 4 processors/);
  burst(idlePolling("on", request, 8));
  expect(request.calls).toEqual(["hold"]);
});

test("nothing is requested without the device, or if the option is off", () => {
  expect(idlePolling("on", "the device cannot be opened (ENOENT)").inUse.why).toMatch(/ENOENT/);
  const request = new Request();
  const off = idlePolling("off", request);
  burst(off);
  expect(request.calls).toEqual([]);
  expect(off.inUse.why).toMatch(/--idle-polling is off/);
});
