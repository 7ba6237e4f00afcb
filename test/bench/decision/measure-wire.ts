/** Questions over a unix socket to a service of its own: by Session, by single calls, and what the socket itself costs. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import { questionToProto, wire } from "@sluice/decision-api";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import type { Figure } from "./figures.js";
import { filledCache, hitUs } from "./measure-cache.js";
import { evaluationUs } from "./measure-rules.js";
import { pathOf, questionFor } from "./questions.js";
import { frame, unframe } from "./raw-server.js";
import { compare, timedAtOnce } from "./rounds.js";

const SERVICE = fileURLToPath(new URL("../../../../services/decision/bin/sluice-decision.cjs", import.meta.url));
const RAW = fileURLToPath(new URL("./raw-server.js", import.meta.url));
const CONCURRENCY = 256;
const CACHED = 10_000;
const LONE = 3_000;

export const POLICY = `version: 1
default: deny
rules:
  - { name: secret, path: "secret/**", effect: deny }
  - { name: projects, path: "srv/projects/**", subject: { uid: [1000, 1001] }, effect: grant }
`;

type Undo = (undo: () => void) => void;

/** Its pid. */
export async function startServer(args: readonly string[], undo: Undo): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  undo(() => child.kill("SIGKILL"));
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return child.pid as number;
}

/** Microseconds of processor time that another process has had; the kernel counts them by the hundredth of a second. */
function processorUs(pid: number): number {
  const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ").slice(11, 13).map(Number) ?? [];
  return (user + system) * 10_000;
}

/** Of both sides, for each of the turns. */
async function processorTime(pid: number, turns: number, act: () => Promise<unknown>): Promise<number> {
  const own = process.cpuUsage();
  const theirs = processorUs(pid);
  await act();
  const { user, system } = process.cpuUsage(own);
  return (user + system + processorUs(pid) - theirs) / turns;
}

async function rawAsker(path: string, undo: Undo): Promise<() => Promise<void>> {
  const socket = connect(path);
  undo(() => socket.destroy());
  await once(socket, "connect");
  let finish: () => void = () => undefined;
  socket.on(
    "data",
    unframe((message) => {
      wire.DecideResponse.decode(message);
      finish();
    }),
  );
  let asked = 0;
  return () => {
    const request = { questionId: `q-${asked}`, question: questionToProto(questionFor(pathOf(asked++))) };
    socket.write(frame(wire.DecideRequest.encode(request).finish()));
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
}

export async function measureWire(directory: string, undo: Undo): Promise<Figure[]> {
  const policy = join(directory, "policy.yaml");
  const socket = join(directory, "service.sock");
  const raw = join(directory, "raw.sock");
  writeFileSync(policy, POLICY);
  const service = await startServer(
    [SERVICE, "decision", "--policy", policy, "--listen", `unix://${socket}`, "--log-level", "silent"],
    undo,
  );
  const floor = await startServer([RAW, raw], undo);
  const decider = connectDecider({ target: `unix://${socket}`, mount: "bench", clientVersion: "0", cache: { entries: 0 } });
  const unary = new wire.DecisionServiceClient(`unix:${socket}`, credentials.createInsecure());
  undo(() => {
    void decider.close();
    unary.close();
  });
  if (!(await whenReady(decider, 10_000))) throw new Error("the decision service does not answer");
  const bySession = async (turn: number): Promise<unknown> => decider.decide(questionFor(pathOf(turn)), undefined);
  const byCall = (turn: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const request = { questionId: `q-${turn}`, question: questionToProto(questionFor(pathOf(turn))) };
      unary.decide(request, (error, response) => (error === null ? resolve(response) : reject(error)));
    });
  const wide = await compare(
    () => timedAtOnce(1_500, CONCURRENCY, byCall),
    () => timedAtOnce(40_000, CONCURRENCY, bySession),
    5,
  );
  const askRaw = await rawAsker(raw, undo);
  const evaluation = evaluationUs(POLICY, questionFor(pathOf(1)));
  const lone = await compare(
    () => timedAtOnce(LONE, 1, bySession),
    async () => evaluation + (await timedAtOnce(LONE, 1, askRaw)),
    9,
  );
  const loneTime = await compare(
    () => processorTime(service, LONE, () => timedAtOnce(LONE, 1, bySession)),
    async () => evaluation + (await processorTime(floor, LONE, () => timedAtOnce(LONE, 1, askRaw))),
    5,
  );
  const hit = hitUs(filledCache(CACHED), CACHED);
  return [
    {
      name: `Session, of single calls, ${CONCURRENCY} at once`,
      measured: `${(1e6 / wide.other).toFixed(0)} and ${(1e6 / wide.one).toFixed(0)} decisions a second`,
      value: wide.ratio,
      bound: { kind: "least", value: 15, unit: "times" },
    },
    {
      name: "a decision alone, of raw socket and evaluation",
      measured: `${lone.one.toFixed(1)} µs and ${lone.other.toFixed(1)} µs, ${evaluation.toFixed(2)} µs of them evaluation`,
      value: lone.ratio,
      bound: { kind: "most", value: 1.8, unit: "times" },
    },
    {
      name: "the same in processor time of both sides",
      measured: `${loneTime.ratio.toFixed(2)} times: ${loneTime.one.toFixed(0)} µs and ${loneTime.other.toFixed(0)} µs`,
    },
    {
      name: "a decision alone, of a hit",
      measured: `${hit.toFixed(2)} µs a hit`,
      value: lone.one / hit,
      bound: { kind: "least", value: 50, unit: "times" },
    },
  ];
}
