import { type EngineEvents, Errno, type Filesystem, FsError } from "@sluice/vfs";
import { expect, test } from "vitest";
import { type Addon, OPERATIONS, type OperationName, type Signal } from "../addon/addon.js";
import { Session } from "./session.js";

interface Answer {
  name: OperationName;
  result: number;
  extras: unknown[];
}

/** An addon that only records the answers. */
function listening(): { addon: Addon; answers: Answer[] } {
  const answers: Answer[] = [];
  const addon: Addon = {
    stateBytes: 0,
    mount: () => undefined,
    letGo: () => undefined,
    opcode: (name) => OPERATIONS.indexOf(name),
    signal:
      (name): Signal =>
      (_record, result, ...extras) =>
        void answers.push({ name, result, extras }),
  };
  return { addon, answers };
}

async function answersOf(
  filesystem: Partial<Filesystem>,
  name: OperationName,
  ...args: unknown[]
): Promise<{ answers: Answer[]; anomalies: string[] }> {
  const anomalies: string[] = [];
  const events: EngineEvents = { request: () => undefined, anomaly: (message) => void anomalies.push(message) };
  const { addon, answers } = listening();
  const session = new Session(filesystem as Filesystem, events);
  session.handlers(addon, () => undefined)[addon.opcode(name)]?.(Buffer.alloc(360), 0, ...args);
  for (let turn = 0; answers.length === 0 && turn < 20; turn++) await Promise.resolve();
  await new Promise((resolve) => void setImmediate(resolve));
  expect(session.inFlight).toBe(0);
  return { answers, anomalies };
}

test("answers errors as errnos, with the further values that the addon reads", async () => {
  const thrown = (): never => {
    throw new FsError(Errno.ENOSPC, "full");
  };
  const { answers, anomalies } = await answersOf({ getattr: thrown }, "getattr", "/");
  expect(answers).toEqual([{ name: "getattr", result: -Errno.ENOSPC, extras: [new Uint32Array(18)] }]);
  expect(anomalies).toEqual([]);
});

test("a bug in the filesystem is EIO and an event, thrown or rejected, and answered once", async () => {
  const bugs: Partial<Filesystem>[] = [
    {
      statfs: () => {
        throw new TypeError("bug");
      },
    },
    { statfs: () => Promise.reject(new TypeError("bug")) },
    { statfs: () => -5 },
    { statfs: () => Number.NaN },
  ];
  for (const filesystem of bugs) {
    const { answers, anomalies } = await answersOf(filesystem, "statfs", "/");
    expect(answers.map(({ result }) => result)).toEqual([-Errno.EIO]);
    expect(anomalies).toHaveLength(1);
  }
});

test("returns libfuse's buffer with every answer", async () => {
  const bytes = Buffer.alloc(8);
  const { answers } = await answersOf({}, "read", "/f", 99, bytes, 8, 0, 0);
  expect(answers).toEqual([{ name: "read", result: -Errno.EBADF, extras: [0, bytes.buffer] }]);
  const { answers: xattr } = await answersOf({ getxattr: () => Errno.ENODATA }, "getxattr", "/", "user.x", bytes, 0);
  expect(xattr).toEqual([{ name: "getxattr", result: -Errno.ENODATA, extras: [bytes.buffer] }]);
});

test("reads the modification time from the addon's record, if it is there", async () => {
  const times: unknown[] = [];
  const filesystem: Partial<Filesystem> = {
    setattr: (_call, _node, set) => {
      times.push([set.atime, set.mtime]);
      return 0;
    },
  };
  const events: EngineEvents = { request: () => undefined, anomaly: () => undefined };
  const { addon } = listening();
  const handler = new Session(filesystem as Filesystem, events).handlers(addon, () => undefined)[addon.opcode("utimens")];
  const record = Buffer.alloc(360);
  record.writeBigInt64LE(1500n, 104);
  record.writeBigInt64LE(2750n, 112);
  handler?.(record, 0, "/", 1500, 0, 1500, 0);
  handler?.(Buffer.alloc(360), 0, "/", 1500, 0, 1500, 0);
  await new Promise((resolve) => void setImmediate(resolve));
  const [half, later] = [
    { sec: 1, nsec: 500_000_000 },
    { sec: 2, nsec: 750_000_000 },
  ];
  expect(times).toEqual([
    [half, later],
    [half, half],
  ]);
});
