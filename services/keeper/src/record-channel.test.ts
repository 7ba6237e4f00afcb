import { KeeperRecord, LinkRecord, ServerRecord } from "@sluice/keeper-link";
import { native } from "@sluice/native";
import { expect, test } from "vitest";
import { RecordChannel } from "./record-channel.js";

const RECORDS = 100;

/** A channel, and the end of a server that has sent RECORDS records over it, with the keys 0 to RECORDS - 1. */
function channelOf(taken: bigint[]): { channel: RecordChannel; theirs: number; lost: Promise<void> } {
  const pair = new Int32Array(2);
  native.seqpacketPair(pair);
  const [ours, theirs] = pair as unknown as [number, number];
  let lose: () => void = () => undefined;
  const lost = new Promise<void>((resolve) => (lose = resolve));
  const stuck = (): never => expect.unreachable("the channel gave up");
  const channel = new RecordChannel(ours, { take: ({ key }) => taken.push(key), lost: lose, stuck });
  for (let key = 0n; key < RECORDS; key++) new LinkRecord(0).begin(ServerRecord.drop, 0, key, 0).send(theirs, 0);
  return { channel, theirs, lost };
}

const ALL = Array.from({ length: RECORDS }, (_, key) => BigInt(key));

test("all records of a server that ends before it reads an answer are taken", async () => {
  const taken: bigint[] = [];
  const { channel, theirs, lost } = channelOf(taken);
  channel.tell((out) => out.begin(KeeperRecord.answer, 1, 0n, 0));
  native.close(theirs);
  await lost;
  expect(taken).toEqual(ALL);
});

test("records that have come are taken on request, although the server's end stays open", async () => {
  const taken: bigint[] = [];
  const { channel, theirs } = channelOf(taken);
  await channel.read();
  expect(taken).toEqual(ALL);
  channel.close();
  await channel.read();
  native.close(theirs);
});
