/** A mount with a keeper, whose server is killed repeatedly while a load runs on it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { descendantsOf, killProcess, mountSluice, scratch, type SluiceMount } from "@sluice/testkit";

const POLL_MS = 10;
/** The longest time beyond the end for kills that are missing. */
const PATIENCE_MS = 60_000;
const PLANT = fileURLToPath(new URL("./plant-kill.mjs", import.meta.url));

export interface SupervisedMountOptions {
  lower: string;
  upper: string;
  /** A new directory by default. */
  mountpoint?: string;
  policy?: string;
  /** Makes every server kill itself at a point that is drawn from this seed, for a time from when the mount is there. */
  plant?: { seed: number; forMs: number };
  args?: readonly string[];
}

export interface Killing {
  random: () => number;
  /** Longest life of a server. */
  pauseMs: number;
  untilMs: number;
  /** Goes on beyond that time until so many servers were killed; default 0. */
  least?: number;
  /** Kills the decision service, too, sometimes at the same moment. */
  alsoKill?: () => void;
  /** While it gives true, nothing is killed. */
  isCalm?: () => boolean;
}

export class SupervisedMount {
  readonly mount: SluiceMount;
  readonly #countFile: string;
  readonly #decides: boolean;
  #killed = 0;

  constructor(mount: SluiceMount, { countFile, decides }: { countFile: string; decides: boolean }) {
    this.mount = mount;
    this.#countFile = countFile;
    this.#decides = decides;
  }

  get mountpoint(): string {
    return this.mount.mountpoint;
  }

  /** Servers that were started with a point of death, the first included. */
  get planted(): number {
    return readFileSync(this.#countFile).length;
  }

  /** Servers that became ready. */
  get served(): number {
    return this.mount.log().split('"msg":"mounted"').length - 1;
  }

  /** Servers whose decision service came as far as to answer. */
  get decided(): number {
    return this.mount.log().split('"msg":"a decision service answers"').length - 1;
  }

  /** The current server; if there is none, the one that will be next. */
  killServer(): boolean {
    const servers = descendantsOf(this.mount.pid).filter(({ command }) => command.includes("mount-server"));
    const { serverPid } = this.mount;
    const server = servers.find(({ pid }) => pid === serverPid) ?? servers[0];
    if (server === undefined) return false;
    killProcess(server);
    return true;
  }

  /** The standby, if it has been started. */
  killStandby(): void {
    const { serverPid } = this.mount;
    const others = descendantsOf(this.mount.pid).filter(({ command }) => command.includes("mount-server"));
    const standby = others.find(({ pid }) => pid !== serverPid);
    if (standby !== undefined && serverPid !== this.mount.pid) killProcess(standby);
  }

  /** The mount's own decision service: a process below the server. */
  killDecision(): void {
    const service = descendantsOf(this.mount.pid).find(({ command }) => command.includes("decision"));
    if (service !== undefined) killProcess(service);
  }

  /** Work goes on as long as the kills do. */
  goesOn({ untilMs, least = 0 }: Pick<Killing, "untilMs" | "least">): boolean {
    const nowMs = Date.now();
    return nowMs < untilMs || (this.#killed < least && nowMs < untilMs + PATIENCE_MS);
  }

  /** Kills the server at random moments until `work` is done or the time is up; returns the number of kills. */
  async killingWhile(work: Promise<unknown>, kills: Killing): Promise<number> {
    let over = false;
    const done = work.finally(() => {
      over = true;
    });
    done.catch(() => undefined);
    let servedThen = 0;
    let decidedThen = 0;
    for (let inRow = 0; !over && this.goesOn(kills); inRow = this.served > servedThen ? 0 : inRow + 1) {
      // Some die during their takeover, but few in a row: the keeper gives up if no server ever becomes ready.
      const starting = inRow < 2 && kills.random() < 0.2;
      // Half of them live until their decision service answers. Otherwise no open ends on a machine where it starts slowly.
      const decides = this.#decides && kills.random() < 0.5;
      const isDue = (): boolean => (starting || this.served > servedThen) && (!decides || this.decided > decidedThen);
      while (!over && this.goesOn(kills) && !isDue()) await sleep(POLL_MS);
      servedThen = this.served;
      decidedThen = this.decided;
      await sleep(kills.pauseMs * kills.random());
      while (!over && kills.isCalm?.() === true) await sleep(POLL_MS);
      if (over) break;
      if (kills.random() < 0.3) kills.alsoKill?.();
      if (kills.random() < 0.1) this.killStandby();
      if (this.killServer()) this.#killed++;
    }
    await done;
    return this.#killed;
  }
}

export async function mountSupervised({
  lower,
  upper,
  mountpoint,
  policy,
  plant,
  args = [],
}: SupervisedMountOptions): Promise<SupervisedMount> {
  const countFile = join(scratch(), "starts");
  writeFileSync(countFile, "");
  const planted = {
    NODE_OPTIONS: `--import=${PLANT}`,
    SLUICE_KILL_SEED: String(plant?.seed),
    SLUICE_KILL_COUNT: countFile,
  };
  const env = plant === undefined ? {} : planted;
  const mount = await mountSluice({
    lowers: [lower],
    upper,
    args: ["--keeper", "on", ...args],
    env,
    ...(mountpoint === undefined ? {} : { mountpoint }),
    ...(policy === undefined ? {} : { policy }),
  });
  if (plant !== undefined) writeFileSync(`${countFile}.mounted`, String(Date.now() + plant.forMs));
  return new SupervisedMount(mount, { countFile, decides: policy !== undefined });
}
