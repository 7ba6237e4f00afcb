/**
 * Decision services on one NATS server: a valid edit brings all of them to the same revision, an invalid one brings none of
 * them there, whenever they started. They continue with their policy while the server is away.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KV, Kvm } from "@nats-io/kv";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { cleanUp, NatsServer, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { runDecision } from "./harness/decision-process.js";
import { Replica } from "./harness/replicas.js";

const { test } = requires("command nats-server");

const rules = (effect: string): string => `version: 1\ndefault: ${effect}\n`;

interface Fleet {
  server: NatsServer;
  config: string;
  directory: string;
  put(text: string): Promise<bigint>;
  /** The test's own client, for a server that was restarted. */
  reconnect(): Promise<void>;
  start(name: string, args?: readonly string[]): Promise<Replica>;
  connection(): NatsConnection;
}

async function fleet(): Promise<Fleet> {
  const directory = scratch();
  const server = await NatsServer.start(scratch());
  const config = join(directory, "policy.yaml");
  writeFileSync(config, `kind: nats\nservers: ${server.url}\nbucket: policies\nkey: fleet\n`);
  let connection: NatsConnection;
  const bucket = async (): Promise<KV> => {
    connection = await connect({ servers: server.url });
    cleanUp(() => connection.close());
    return new Kvm(connection).create("policies", { history: 10 });
  };
  let current = await bucket();
  return {
    server,
    config,
    directory,
    put: async (text) => BigInt(await current.put("fleet", text)),
    reconnect: async () => void (current = await bucket()),
    start: (name, args) => Replica.start(directory, name, config, args),
    connection: () => connection,
  };
}

/** A replica's report: the revision's number, its digest, and the reason why the newest one is not in force. */
async function held(replica: Replica): Promise<[bigint, string, string]> {
  const capabilities = await replica.capabilities();
  return [capabilities.revision?.sequence ?? -1n, capabilities.revision?.digest ?? "", capabilities.refusedEdit];
}
const sequences = async (replicas: readonly Replica[]): Promise<bigint[]> =>
  Promise.all(replicas.map(async (replica) => (await held(replica))[0]));

test("replicas reach one revision, and none reaches an invalid one", async () => {
  const { put, start } = await fleet();
  const first = await put(rules("grant"));
  const replicas = await Promise.all(["a", "b", "c"].map((name) => start(name)));
  expect(await sequences(replicas)).toEqual([first, first, first]);

  let newest = first;
  for (const effect of ["mediate", "deny", "grant", "mediate", "deny"]) newest = await put(rules(effect));
  await expect.poll(() => sequences(replicas)).toEqual([newest, newest, newest]);
  expect(new Set((await Promise.all(replicas.map(held))).map(([, digest]) => digest)).size).toBe(1);

  await put(rules("grnt"));
  await put("kind: cedar\npolicies: [/etc/passwd]\n");
  const why = async (): Promise<boolean[]> =>
    (await Promise.all(replicas.map(held))).map(([, , refused]) => refused.includes("does not hold it"));
  await expect.poll(why).toEqual([true, true, true]);
  expect(await sequences(replicas)).toEqual([newest, newest, newest]);

  // A replica that starts now reaches the others' revision, not the newest in the bucket.
  const late = await start("late");
  expect((await held(late)).slice(0, 2)).toEqual((await held(replicas[0] as Replica)).slice(0, 2));
  expect((await held(late))[2]).toContain("does not hold it");

  newest = await put(rules("mediate"));
  const all = [...replicas, late];
  await expect.poll(() => sequences(all)).toEqual(all.map(() => newest));
  expect((await Promise.all(all.map(held))).map(([, , refused]) => refused)).toEqual(["", "", "", ""]);
});

test("replicas continue without the server, and follow it when it is back", async () => {
  const { server, put, start, reconnect } = await fleet();
  const first = await put(rules("grant"));
  const replicas = await Promise.all(["a", "b"].map((name) => start(name)));
  await server.stop("SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await sequences(replicas)).toEqual([first, first]);
  await server.restart();
  await reconnect();
  const second = await put(rules("deny"));
  expect(second).toBeGreaterThan(first);
  await expect.poll(() => sequences(replicas)).toEqual([second, second]);
});

test("replicas report a recreated bucket, and follow it once it has caught up", async () => {
  const { put, start, connection, reconnect, config, directory } = await fleet();
  let newest = 0n;
  for (const effect of ["grant", "mediate", "grant", "mediate"]) newest = await put(rules(effect));
  const replica = await start("a");
  await (await jetstreamManager(connection())).streams.delete("KV_policies");
  await reconnect();
  expect(await put(rules("deny"))).toBe(1n);
  await expect.poll(async () => (await held(replica))[2], { timeout: 30_000 }).toMatch(/revision 1 is lower than 4, which was in force/);
  expect((await held(replica))[0]).toBe(newest);
  const edit = join(directory, "edit.yaml");
  writeFileSync(edit, rules("deny"));
  expect(await runDecision(["policy", "publish", edit, "--to", config, "--above", "4"])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/published as revision 5 /) as string,
  });
  await expect.poll(() => held(replica), { timeout: 30_000 }).toEqual([5n, expect.any(String), ""]);
});

test("a policy is published once it is valid", async () => {
  const { server, config, directory, put } = await fleet();
  await put(rules("grant"));
  const edit = join(directory, "edit.yaml");
  writeFileSync(edit, rules("grnt"));
  const refused = await runDecision(["policy", "publish", edit, "--to", config]);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("did you mean 'grant'?") as string });
  writeFileSync(edit, rules("mediate"));
  const published = await runDecision(["policy", "publish", edit, "--to", config]);
  expect(published).toMatchObject({ code: 0, stdout: expect.stringMatching(/published as revision 2 /) as string });
  await server.stop();
  expect(await runDecision(["policy", "publish", edit, "--to", config])).toMatchObject({ code: 1 });
});

test("decisions stream into JetStream, each once, although the server restarts", async () => {
  const { server, directory, put, start, connection, reconnect } = await fleet();
  await put(rules("mediate"));
  const log = join(directory, "log.yaml");
  writeFileSync(log, `sinks: [{ kind: nats, servers: "${server.url}", subject: sluice.decisions }]\n`);
  await (await jetstreamManager(connection())).streams.add({ name: "DECISIONS", subjects: ["sluice.decisions"] });
  const replica = await start("a", ["--decision-log-config", log]);
  const asked = new Set<string>();
  const ask = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) asked.add((await replica.decide("a/b")).decisionId);
  };
  await ask(20);
  await server.stop("SIGKILL");
  await ask(20);
  await server.restart();
  await reconnect();
  await ask(20);
  const { streams } = await jetstreamManager(connection());
  await expect.poll(async () => (await streams.info("DECISIONS")).state.messages).toBe(60);
  const told = new Set<string>();
  for (let seq = 1; seq <= 60; seq++)
    told.add((await streams.getMessage("DECISIONS", { seq }))?.json<{ decision_id: string }>().decision_id ?? "");
  expect(told).toEqual(asked);
});

test("a question with very many long names holds up no other decision on its way into JetStream", async () => {
  const { server, directory, put, start, connection } = await fleet();
  await put(rules("mediate"));
  const log = join(directory, "log.yaml");
  writeFileSync(log, `sinks: [{ kind: nats, servers: "${server.url}", subject: sluice.decisions }]\n`);
  const { streams } = await jetstreamManager(connection());
  await streams.add({ name: "DECISIONS", subjects: ["sluice.decisions"] });
  const replica = await start("a", ["--decision-log-config", log]);
  const hostile = Array.from({ length: 64 }, (_, at) => `${at}/${"\x01".repeat(4_000)}`);
  const asked = [await replica.decide("a/b"), await replica.decide(...hostile), await replica.decide("a/b")];
  await expect.poll(async () => (await streams.info("DECISIONS")).state.messages, { timeout: 30_000 }).toBe(3);
  const told = await Promise.all(
    [1, 2, 3].map(async (seq) => (await streams.getMessage("DECISIONS", { seq }))?.json<{ decision_id: string }>().decision_id),
  );
  expect(told).toEqual(asked.map(({ decisionId }) => decisionId));
});
