/** The work of `sluice report`. */
import { ACTIVITY_KINDS, type ActivityFile, type ActivityKind } from "@sluice/mount-control";
import { toText } from "@sluice/native";
import { escapeName, escapeTextName, table, unfit } from "@sluice/runtime/cli";
import { becomeOwner, openSession, type Session } from "@sluice/sessions";
import { countsOf, readActivity } from "./session-activity.js";

/** One page. */
const MAX_ROWS: Readonly<Record<ActivityKind, number>> = { denied: 20, undecided: 20, written: 12, read: 12 };
const MAX_PROGRAMS = 12;

const sumOf = (counts: readonly (readonly [string, number])[]): number => counts.reduce((sum, [, count]) => sum + count, 0);

function withRest(rows: readonly string[], count: number): string[] {
  return count <= rows.length ? [...rows] : [...rows, `… and ${count - rows.length} more`];
}

/** Most commands meet no outage. */
function shownKinds({ totals }: ActivityFile): readonly ActivityKind[] {
  return ACTIVITY_KINDS.filter((kind) => kind !== "undecided" || totals.undecided > 0);
}

function programTable(activity: ActivityFile): string[] {
  const kinds = shownKinds(activity);
  const rows = activity.programs
    .map(({ program, ...lists }) => ({ program, counts: kinds.map((kind) => sumOf(lists[kind])) }))
    .sort((one, other) => sumOf(other.counts.map((count) => ["", count])) - sumOf(one.counts.map((count) => ["", count])))
    .map(({ program, counts }) => [escapeName(program), ...counts.map(String)]);
  const [head, ...lines] = table(["PROGRAM", ...kinds.map((kind) => kind.toUpperCase())], rows.slice(0, MAX_PROGRAMS));
  return [head as string, ...withRest(lines, rows.length)];
}

/** The programs that were denied a file, or that opened it. */
function usersOf({ programs }: ActivityFile, kind: ActivityKind, path: string): string {
  return programs
    .filter((one) => one[kind].some(([used]) => used === path))
    .map(({ program }) => escapeName(program.slice(program.lastIndexOf("/") + 1)))
    .join(", ");
}

function section(activity: ActivityFile, kind: ActivityKind): string[] {
  const counts = countsOf(activity, kind);
  const rows = counts
    .slice(0, MAX_ROWS[kind])
    .map(([path, count]) => [`  ${escapeName(path)}`, String(count), usersOf(activity, kind, path)]);
  if (rows.length === 0) return [];
  const [, ...lines] = table(["", "", ""], rows);
  return ["", `${kind}:`, ...withRest(lines, counts.length + activity.omitted[kind])];
}

function page({ name, base, record }: Session, activity: ActivityFile): string {
  const totals = shownKinds(activity)
    .map((kind) => `${activity.totals[kind]} ${kind}`)
    .join(", ");
  const lines = [
    `session ${name} in ${escapeTextName(base)}, policy ${escapeTextName(record.policy)}`,
    `command: ${record.command.map(escapeTextName).join(" ")}`,
    `opens: ${totals}`,
    "",
    ...programTable(activity),
    ...section(activity, "denied"),
    ...section(activity, "undecided"),
    ...section(activity, "written"),
    ...section(activity, "read"),
  ];
  return `${lines.join("\n")}\n`;
}

function plain({ name, base, record }: Session, { totals, omitted, programs }: ActivityFile): unknown {
  const listed = (counts: [string, number][]): unknown[] => counts.map(([path, count]) => ({ path: toText(path), count }));
  return {
    session: name,
    base,
    policy: record.policy,
    command: record.command,
    totals,
    omitted,
    programs: programs.map(({ program, read, written, denied, undecided }) => ({
      program: toText(program),
      ...{ read: listed(read), written: listed(written), denied: listed(denied), undecided: listed(undecided) },
    })),
  };
}

export function report(name: string, { json }: { json?: boolean }): void {
  becomeOwner();
  const session = openSession(name);
  const activity = readActivity(session);
  if (activity === undefined) throw unfit(name, "no command has run in this session", "run one with 'sluice run --resume'");
  process.stdout.write(json === true ? `${JSON.stringify(plain(session, activity), null, 2)}\n` : page(session, activity));
  session.close();
}
