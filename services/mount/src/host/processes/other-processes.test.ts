import type { Socket } from "node:net";
import { check, native } from "@sluice/native";
import { expect, onTestFinished, test } from "vitest";
import { type ListAnswer, OtherProcesses, type OwnMounts, questionIn } from "./other-processes.js";
import { takePassed } from "./passed-connections.js";

const LINE = Buffer.from("the first line\n");

/** The ends of the first process and of another one. */
function ends(): [ours: number, theirs: number] {
  const pair = new Int32Array(2);
  check(native.seqpacketPair(pair), "a pair of sockets");
  return [pair[0] as number, pair[1] as number];
}

/** A connection of a client. */
function connection(): number {
  const pair = new Int32Array(2);
  check(native.streamPair(pair), "a pair of sockets");
  onTestFinished(() => pair.forEach((fd) => void native.close(fd)));
  return pair[0] as number;
}

/** Another process, which has `before` mounts. Each connection that it gets becomes another one. */
function otherProcess(over: number, before: number): Socket[] {
  const connections: Socket[] = [];
  const passed = takePassed(over, (socket, read) => {
    if (questionIn(read) === undefined) connections.push(socket);
    else socket.end(`${JSON.stringify({ mounts: [], count: before + connections.length } satisfies ListAnswer)}\n`);
  });
  onTestFinished(() => {
    passed.close();
    for (const connection of connections) connection.destroy();
  });
  return connections;
}

const having = (count: number): OwnMounts => ({ count: () => count, coming: () => undefined });

test("a connection goes to the process with the fewest mounts, and stays if that is this one", async () => {
  const [[toOne, one], [toOther, other]] = [ends(), ends()];
  const ofOne = otherProcess(one, 3);
  const ofOther = otherProcess(other, 1);
  const processes = new OtherProcesses([toOne, toOther]);
  const fd = connection;
  const passed = [];
  for (const own of [1, 2, 3, 4]) passed.push(await processes.passNext(having(own), { fd, read: () => LINE }));
  expect(passed).toEqual([false, true, true, true]);
  await expect.poll(() => [ofOne.length, ofOther.length]).toEqual([1, 2]);
});

test("requests of one moment are divided as those of several", async () => {
  const [[toOne, one], [toOther, other]] = [ends(), ends()];
  const [ofOne, ofOther] = [otherProcess(one, 0), otherProcess(other, 0)];
  const processes = new OtherProcesses([toOne, toOther]);
  let own = 0;
  const mine: OwnMounts = { count: () => own, coming: () => void (own += 1) };
  const passed = await Promise.all(Array.from({ length: 9 }, () => processes.passNext(mine, { fd: connection, read: () => LINE })));
  expect(passed.filter((each) => !each)).toHaveLength(3);
  await expect.poll(() => [ofOne.length, ofOther.length]).toEqual([3, 3]);
});

test("a process that has ended for good gets no connection", async () => {
  const [ours, theirs] = ends();
  native.close(theirs);
  const processes = new OtherProcesses([ours]);
  const fd = connection;
  expect(await processes.passNext(having(100), { fd, read: () => LINE })).toBe(false);
  await expect(processes.list()).rejects.toThrow("process 2 of the host service does not answer");
});

test("a first line that does not fit a record stays with this process", async () => {
  const [ours, theirs] = ends();
  const connections = otherProcess(theirs, 0);
  const fd = connection;
  expect(await new OtherProcesses([ours]).passNext(having(100), { fd, read: () => Buffer.alloc(65_536) })).toBe(false);
  expect(connections).toEqual([]);
});
