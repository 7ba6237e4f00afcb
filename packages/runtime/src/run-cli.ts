/** Runs a command line to its exit code, and reports every failure in the one format of `errorLine`. */
import { CliError, EXIT, type ExitCode, errorLine, forPerson, type SignalExit, wrong } from "./cli-error.js";
import { type ParsedCommand, refuseEmptyNames } from "./empty-names.js";
import { escapeTextName } from "./escape-name.js";
import { fillText } from "./output/fill-text.js";
import { refuseDebugger } from "./refuse-debugger.js";

/** The part of a commander `Command` that is needed here. */
export interface CommandLike {
  readonly commands: readonly CommandLike[];
  name(): string;
  exitOverride(callback?: (error: Error) => never | void): unknown;
  configureOutput(configuration: { outputError(text: string, write: (text: string) => void): void; writeOut(text: string): void }): unknown;
  /** Called with the command that was parsed, whatever its depth. */
  hook(event: "preAction", listener: (program: unknown, called: ParsedCommand) => void): unknown;
  parseAsync(argv: readonly string[]): Promise<unknown>;
}

interface CommanderError extends Error {
  code: string;
  exitCode: number;
  /** The command that found it, in words: "sluice policy check". */
  foundBy?: string;
}

function isCommanderError(error: unknown): error is CommanderError {
  return (
    error instanceof Error &&
    typeof (error as Partial<CommanderError>).code === "string" &&
    (error as CommanderError).code.startsWith("commander.")
  );
}

/** Commander fills the part that it makes itself. Its width in a file or pipe is the same. */
function writeHelp(text: string): void {
  process.stdout.write(fillText(text, process.stdout.columns || 80));
}

/** Commander would print in its own format and exit by itself: this replaces both, on each level of the command. */
function tame(command: CommandLike, above: readonly string[] = []): void {
  const words = [...above, command.name()];
  command.exitOverride((error) => {
    throw Object.assign(error, { foundBy: words.join(" ") });
  });
  command.configureOutput({ outputError: () => undefined, writeOut: writeHelp });
  for (const child of command.commands) tame(child, words);
}

/** Its sentences as one, without a full stop. */
function problemOf(error: CommanderError): string {
  if (error.code === "commander.help") return "no command";
  return error.message
    .replace(/^error: /, "")
    .replace(/\.?\n/g, " ")
    .trim()
    .replace(/\.$/, "")
    .replace(/\. ([A-Z])/g, (_, letter: string) => `; ${letter.toLowerCase()}`);
}

/** The help of `help` itself, which commander does not have. */
const helpOfHelp = (path: string): string => `Usage: ${path} help [command...]\n\nshow the help of a command, as its option --help does\n`;

/**
 * `help WORDS…` as `WORDS… --help`. Commander looks at the first of these words alone, and prints the whole help if it does not know it.
 * Nor would it name an unknown command with a help option, so its words end there.
 * @returns undefined if nothing remains to be done
 * @throws CliError if there is no such command
 */
function resolveHelp(program: CommandLike, words: readonly string[]): readonly string[] | undefined {
  let [command, path] = [program, program.name()];
  let at = 0;
  let helps = false;
  for (; at < words.length; at++) {
    const word = words[at] as string;
    const found = command.commands.find((child) => child.name() === word);
    if (found !== undefined) [command, path] = [found, `${path} ${word}`];
    else if (!helps && word === "help" && command.commands.length > 0) helps = true;
    else break;
  }
  const rest = words[at];
  if (!helps) return rest !== undefined && !rest.startsWith("-") && command.commands.length > 0 ? words.slice(0, at + 1) : words;
  if (rest === "help" || rest === "--help" || rest === "-h") {
    writeHelp(helpOfHelp(path));
    return undefined;
  }
  if (rest !== undefined && command.commands.length > 0)
    throw wrong("command line", `unknown command '${escapeTextName(rest)}'`, `see '${path} --help'`);
  return [...path.split(" ").slice(1), "--help"];
}

type Write = (text: string) => void;

function complain(thrown: unknown, program: string, write: Write): ExitCode | SignalExit {
  const error = forPerson(thrown);
  if (error instanceof CliError) {
    write(errorLine(error.message));
    return error.exitCode;
  }
  if (isCommanderError(error)) {
    if (error.exitCode === 0) return EXIT.DONE;
    write(errorLine(`command line: ${problemOf(error)}: see '${error.foundBy ?? program} --help'`));
    return EXIT.USAGE;
  }
  const { message, code } = error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error), code: undefined };
  write(
    errorLine(
      `${program}: ${message}${code === undefined || message.includes(code) ? "" : ` (${code})`}: this is a defect, please report it`,
    ),
  );
  if (process.env["SLUICE_DEBUG"] !== undefined && error instanceof Error) write(`${error.stack}\n`);
  return EXIT.FAILED;
}

/**
 * Parses `argv` (as `process.argv`) and runs the command it names; the result is the exit code.
 * Actions throw `CliError`, or set `process.exitCode` after they have reported the error themselves.
 * `write` gets the error; by default it is written to standard error, and the write waits for room there.
 */
export async function runCli(
  program: CommandLike,
  argv: readonly string[] = process.argv,
  write: Write = (text) => void process.stderr.write(text),
): Promise<number> {
  refuseDebugger();
  // They are about calls of libraries, such as one for a server that is named by its address. Nobody who reads a command's output can act.
  process.noDeprecation = process.env["SLUICE_DEBUG"] === undefined;
  tame(program);
  program.hook("preAction", (_program, called) => refuseEmptyNames(called));
  try {
    const words = resolveHelp(program, argv.slice(2));
    if (words !== undefined) await program.parseAsync([...argv.slice(0, 2), ...words]);
    return Number(process.exitCode ?? EXIT.DONE);
  } catch (error) {
    return complain(error, program.name(), write);
  }
}
