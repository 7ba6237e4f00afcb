import type { wire } from "@sluice/host-api";
import { expect, test } from "vitest";
import { handleMount, type MountCall } from "./host-handlers.js";
import type { HostedMounts, RunningMount } from "./hosted-mounts.js";

const SPEC = { mountpoint: "/view", options: [], directory: "/", attached: true, abandonedAtEnd: true, mountNamespace: 0 };

interface Client {
  /** The kinds of message that it got. */
  heard: (string | undefined)[];
  begin(): void;
}

/** Of a service whose only mount is `running`. */
function clientOf(running: { left: Promise<void>; ended: Promise<void> }): Client {
  const heard: Client["heard"] = [];
  let take: (request: wire.MountRequest) => void = () => undefined;
  const call: MountCall = {
    onRequest: (listener) => (take = listener),
    onEnd: () => undefined,
    write: ({ message }) => heard.push(message.$case === "ended" && message.value.failure !== undefined ? "failed" : message.$case),
    refuse: (details) => heard.push(details),
    end: () => heard.push("closed"),
  };
  const mount = { left: running.left } as RunningMount["mount"];
  const mounts = { begin: () => ({ mount, ended: running.ended }) } as unknown as HostedMounts;
  handleMount({ mounts, parse: () => ({}) as never, onSession: () => undefined }, call);
  return { heard, begin: () => take({ message: { $case: "begin", value: SPEC } }) };
}

const never = new Promise<void>(() => undefined);

test("a client hears of the end of its mount before the service has ended what belonged to it", async () => {
  const client = clientOf({ left: Promise.resolve(), ended: never });
  client.begin();
  await expect.poll(() => client.heard).toEqual(["ended", "closed"]);
});

test("a client hears of the failure of a mount that never served", async () => {
  const client = clientOf({ left: never, ended: Promise.reject(new Error("no such layer")) });
  client.begin();
  await expect.poll(() => client.heard).toEqual(["failed", "closed"]);
});
