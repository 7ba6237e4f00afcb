/**
 * Has a caller's work done in a process of its own: one at a time, within limits of time and memory. Not in a thread: a
 * thread that asks for too much memory at once ends the whole process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { type CallName, REFUSED } from "./caller-work.js";
import { WorkFailure } from "./work-failure.js";

const PROGRAM = fileURLToPath(new URL("../../dist/console/caller-worker.js", import.meta.url));
/** Seconds of one call. */
const BUDGET_S = 20;
const HEAP_MB = 256;

function tooMuch(what: string): WorkFailure {
  return new WorkFailure(422, `checking and evaluating this ${what}: send a smaller policy, or a part of the log`);
}

async function work(call: CallName, body: Uint8Array, { budgetS, program }: { budgetS: number; program: string }): Promise<string> {
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MB}`, program, call], {
    cwd: "/",
    env: { NODE_ENV: "production" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, budgetS * 1_000);
  try {
    const ended = once(child, "close") as Promise<[number | null]>;
    const said = text(child.stdout);
    // A process that ended does not read to the end.
    child.stdin.on("error", () => undefined).end(body);
    const [[code], outcome] = await Promise.all([ended, said]);
    if (code === 0) return outcome;
    if (code === REFUSED) throw new WorkFailure(400, outcome);
    throw tooMuch(late ? `took more than ${budgetS} s` : `needed more than ${HEAP_MB} MiB of memory, or ended its process`);
  } finally {
    clearTimeout(timer);
  }
}

export class WorkAside {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly budgetS = BUDGET_S,
    private readonly program = PROGRAM,
  ) {}

  /**
   * The outcome as JSON; undefined if nobody has `wanted` it any more when its turn came. Rejects with `WorkFailure`, or if
   * no process can be started.
   */
  run(call: CallName, body: Uint8Array, wanted: () => boolean): Promise<string | undefined> {
    const mine = this.last.then(() => (wanted() ? work(call, body, { budgetS: this.budgetS, program: this.program }) : undefined));
    this.last = mine.catch(() => undefined);
    return mine;
  }
}
