/** `sluice asks`: the questions that wait for a person, and the answers that hold. */
import { escapeLine, escapeTextName, table } from "@sluice/runtime/cli";
import type { Command } from "commander";
import { type Found, findAsks } from "./find-asks.js";
import { controlOption } from "../commands/shared-options.js";

const NOTES = `
Without an argument it lists the questions of every running session of 'sluice run' and of every mount that you may ask.
Answer with 'sluice answer ID once|session|always|deny'. Nothing inside of a session can list or answer questions.
`;

function pathsOf({ item: { paths } }: Found): string {
  const [first = "", ...others] = paths;
  return others.length === 0 ? escapeTextName(first) : `${escapeTextName(first)} (and ${others.length} more names)`;
}

function row(found: Found): string[] {
  const { item } = found;
  const { askId, program, pid, uid, accesses, rule, waiting, answer, answeredBy } = item;
  return [
    askId,
    escapeTextName(found.name),
    program === null ? "unknown" : escapeTextName(program),
    pid === 0 ? "-" : String(pid),
    String(uid),
    accesses.join(","),
    pathsOf(found),
    escapeTextName(rule),
    answer === null ? String(waiting) : `${answer}: ${escapeTextName(answeredBy ?? "")}`,
  ];
}

const HEAD = ["ID", "MOUNT", "PROGRAM", "PID", "UID", "ACCESS", "PATH", "RULE"];

interface AsksArguments {
  json?: boolean;
  answered?: boolean;
  control?: string;
}

async function show(name: string | undefined, args: AsksArguments): Promise<void> {
  const answered = args.answered === true;
  const found = (await findAsks(name, args.control)).filter(({ item }) => (item.answer !== null) === answered);
  if (args.json === true) {
    const plain = found.map(({ name: mount, item }) => ({ ...item, change: undefined, mount }));
    process.stdout.write(`${JSON.stringify(plain, null, 2)}\n`);
  } else if (found.length === 0) {
    process.stderr.write(answered ? "no answers\n" : "no questions\n");
  } else {
    process.stdout.write(
      `${table([...HEAD, answered ? "ANSWER" : "WAITING"], found.map(row))
        .map(escapeLine)
        .join("\n")}\n`,
    );
  }
}

export function addAsksCommand(program: Command): void {
  program
    .command("asks")
    .description("list the questions that rules with 'effect: ask' put to a person")
    .argument("[mount]", "a mount point, or a session of 'sluice run'; by default all")
    .option("--answered", "list the answers that hold instead: 'sluice answer ID revoke' ends one")
    .option("--json", "as JSON")
    .addOption(controlOption())
    .addHelpText("after", NOTES)
    .action(show);
}
