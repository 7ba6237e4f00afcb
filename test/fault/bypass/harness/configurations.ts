/** The mounts that hunters run on: how I/O flows, which service decides, and which failures happen meanwhile. */
import { renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Layers, mountSluice, type SluiceMount, type SluiceMountOptions } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { mountSupervised } from "../../take-over/supervised-mount.js";
import { SlowDecision } from "./slow-decision.js";

export interface Configuration {
  name: string;
  flow: "granted" | "mediated" | "mixed";
  /** Decision services apart from the mount, with answers that come late; 0: the embedded one, which is stopped now and then. */
  replicas: 0 | 1 | 2;
  /** A keeper whose servers are killed. */
  killed?: boolean;
  args?: readonly string[];
}

export const CONFIGURATIONS: readonly Configuration[] = [
  { name: "granted, the embedded decision service", flow: "granted", replicas: 0 },
  { name: "mediated, two replicas", flow: "mediated", replicas: 2 },
  { name: "mixed, one slow decision service", flow: "mixed", replicas: 1 },
  { name: "mixed, the embedded decision service, a keeper and kills", flow: "mixed", replicas: 0, killed: true },
  { name: "granted, two replicas, foreign marks", flow: "granted", replicas: 2, args: ["-o", "foreign_marks=on"] },
];

/** Comes below the rules that a hunter adds. */
export const FLOWS: Record<Configuration["flow"], { fallback: string; rules: string }> = {
  granted: { fallback: "grant", rules: "" },
  mediated: { fallback: "mediate", rules: "" },
  mixed: { fallback: "grant", rules: '  - { name: readers, path: "**", access: [read], effect: mediate, ttl: 0ms }\n' },
};

const LONGEST_ANSWER_MS = 40;
const LONGEST_STOP_MS = 20;
/** Longest life of a server from the moment it is ready. */
const PAUSE_MS = 1_200;
/** Never fails open: a caller that waits so long is denied. */
const TIMEOUT = ["--decision-timeout", "30s"];
/** Nobody answers questions for a person, so each ends as a denial. It is long enough for others to move the name meanwhile. */
const ASK_TIMEOUT_MS = 100;

/** One hunt on mounts of one kind. */
export interface Hunt {
  configuration: Configuration;
  seed: number;
  random: () => number;
  /** The longest time of a hunt; it ends after its first round at the earliest. */
  leftMs: number;
  /** The longest time that a revoked open may stay uncounted; 20 s by default. */
  patienceMs?: number;
  /** A program with a bug. */
  planted?: Pick<SluiceMountOptions, "program" | "env">;
}

/** Time for mounts, reviews and clean-up on a machine that has other work. */
export const SPARE_MS = 240_000;

export function huntBy(seed: number, hunt: Omit<Hunt, "seed" | "random">): Hunt {
  return { ...hunt, seed, random: seededRandom(seed).fraction };
}

export interface HuntedMount {
  mount: SluiceMount;
  /** Puts another policy in force. A replica that starts meanwhile never reads half a file. */
  edit(policy: string): void;
  /** While true, no server is killed. */
  calm: boolean;
  /** Stops and kills decision services at random moments until `work` is done, and servers until `untilMs`. */
  disturbWhile(work: Promise<unknown>, untilMs: number): Promise<void>;
}

export async function huntedMount(
  { configuration, seed, planted = {} }: Hunt,
  { lower, upper }: Layers,
  policy: string,
): Promise<HuntedMount> {
  const { replicas, killed, args = [] } = configuration;
  // Its own: the hunter's draws do not depend on how long anything takes.
  const random = seededRandom(seed + 1).fraction;
  const decision =
    replicas === 0
      ? undefined
      : await SlowDecision.start({ policy, replicas, longestMs: LONGEST_ANSWER_MS, askTimeoutMs: ASK_TIMEOUT_MS, seed });
  const more = [...TIMEOUT, ...args, ...(decision === undefined ? [] : ["--decision", decision.target])];
  const own = decision === undefined ? { policy } : {};
  if (decision === undefined) more.push("--ask-timeout", `${ASK_TIMEOUT_MS}ms`);
  const supervised = killed === true ? await mountSupervised({ lower, upper, ...own, args: more }) : undefined;
  const mount = supervised?.mount ?? (await mountSluice({ lowers: [lower], upper, ...own, args: more, ...planted }));
  const policyFile = decision?.policyFile ?? (mount.policyFile as string);
  const hunted: HuntedMount = {
    mount,
    calm: false,
    edit: (edited) => {
      writeFileSync(`${policyFile}.next`, edited);
      renameSync(`${policyFile}.next`, policyFile);
    },
    disturbWhile: async (work, untilMs) => {
      const disturbed = decision === undefined ? stopEmbedded(mount, work, random) : disturbReplicas(decision, { work, replicas, random });
      await Promise.all([
        disturbed,
        supervised?.killingWhile(work, {
          random,
          pauseMs: PAUSE_MS,
          untilMs,
          alsoKill: () => supervised.killDecision(),
          isCalm: () => hunted.calm,
        }),
      ]);
    },
  };
  return hunted;
}

async function until(work: Promise<unknown>, disturb: () => Promise<void>): Promise<void> {
  let over = false;
  const done = work.finally(() => (over = true));
  done.catch(() => undefined);
  while (!over) await disturb();
  await done;
}

function stopEmbedded(mount: SluiceMount, work: Promise<unknown>, random: () => number): Promise<void> {
  return until(work, async () => {
    const pid = mount.decisionPid;
    signal(pid, "SIGSTOP");
    await sleep(LONGEST_STOP_MS * random());
    signal(pid, "SIGCONT");
    await sleep(LONGEST_STOP_MS * random());
  });
}

/** The process may have ended with the server that started it. */
function signal(pid: number | undefined, name: "SIGSTOP" | "SIGCONT"): void {
  try {
    if (pid !== undefined) process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

const REPLACE_MS = 1_000;

function disturbReplicas(decision: SlowDecision, of: { work: Promise<unknown>; replicas: number; random: () => number }): Promise<void> {
  const { work, replicas, random } = of;
  return until(work, async () => {
    const index = Math.floor(random() * replicas);
    if (replicas > 1 && random() < 0.1) await decision.replace(index);
    decision.signal(index, "SIGSTOP");
    await sleep(LONGEST_STOP_MS * random());
    decision.signal(index, "SIGCONT");
    await sleep((REPLACE_MS / 10) * random());
  });
}
