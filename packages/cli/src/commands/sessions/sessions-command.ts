/** `sluice sessions`: the sessions of `sluice run`. */
import { escapeTextName, errorLine, table } from "@sluice/runtime/cli";
import { becomeOwner, listSessions, type Session } from "@sluice/sessions";
import type { Command } from "commander";
import type { ChangeCounts } from "../../review/found-changes.js";

const STEPS = [
  { seconds: 86_400, unit: "d" },
  { seconds: 3600, unit: "h" },
  { seconds: 60, unit: "min" },
] as const;

/** Such as "3 h". */
function age(created: string): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(created)) / 1000);
  const step = STEPS.find((each) => seconds >= each.seconds) ?? { seconds: 1, unit: "s" };
  return `${Math.floor(seconds / step.seconds)} ${step.unit}`;
}

interface Changes {
  counts: ChangeCounts;
  /** As the last line of `sluice diff`. */
  text: string;
}

interface Row {
  session: Session;
  running: boolean;
  changes: Changes | Error;
}

async function count(session: Session): Promise<Changes | Error> {
  try {
    const [{ kindsOf, shownDifferences }, { changesIn, countFound }] = await Promise.all([
      import("@sluice/changes"),
      import("../../review/found-changes.js"),
    ]);
    const found = changesIn(session);
    return { counts: countFound(found), text: kindsOf(shownDifferences(found)) };
  } catch (error) {
    return error as Error;
  }
}

async function look(session: Session): Promise<Row> {
  const running = session.isRunning();
  const changes = await count(session);
  if (running || !(changes instanceof Error)) return { session, running, changes };
  // A fork that was killed leaves layers half moved: whoever takes the lock finishes that.
  return session.lock().then(
    async () => ({ session, running, changes: await count(session) }),
    () => ({ session, running, changes }),
  );
}

function cells({ session, running, changes }: Row): string[] {
  const { name, base, record } = session;
  const shown = changes instanceof Error ? "unknown" : changes.text;
  return [name, escapeTextName(base), age(record.created), escapeTextName(record.policy), running ? "running" : "", shown];
}

/** A line for each checkpoint below that of its session. */
function checkpointCells({ session: { name, record } }: Row): string[][] {
  return record.checkpoints.map((one) => [`${name}@${one.name}`, "", age(one.created), "", "checkpoint", ""]);
}

function plain({ session, running, changes }: Row): unknown {
  const { name, base, created, policy, command, checkpoints } = session.record;
  const marks = checkpoints.map((one) => ({ name: one.name, created: one.created }));
  return {
    ...{ name, directory: base, created, policy, command, running, checkpoints: marks },
    changes: changes instanceof Error ? null : changes.counts,
  };
}

async function list(args: { json?: boolean }): Promise<void> {
  becomeOwner();
  const rows: Row[] = [];
  const problems: Error[] = [];
  for (const { session } of listSessions()) {
    if (session instanceof Error) problems.push(session);
    else rows.push(await look(session));
  }
  for (const { changes } of rows) if (changes instanceof Error) problems.push(changes);
  for (const problem of problems) process.stderr.write(errorLine(problem.message));
  if (problems.length > 0) process.exitCode = 1;
  if (args.json === true) process.stdout.write(`${JSON.stringify(rows.map(plain), null, 2)}\n`);
  else if (rows.length > 0) {
    const head = ["NAME", "DIRECTORY", "AGE", "POLICY", "STATE", "CHANGES"];
    process.stdout.write(
      `${table(
        head,
        rows.flatMap((row) => [cells(row), ...checkpointCells(row)]),
      ).join("\n")}\n`,
    );
  } else if (problems.length === 0) process.stderr.write("no sessions\n");
  for (const { session } of rows) session.close();
}

export function addSessionsCommand(program: Command): void {
  program.command("sessions").description("list the sessions of 'sluice run'").option("--json", "as JSON").action(list);
}
