/** An error of a mount, from the service that could not make it to the command that tells a person: the same line, the same exit code. */
import { CliError, codeOf, EXIT, type ExitCode, forPerson } from "@sluice/runtime/cli";
import type { Failure } from "./gen/sluice/host/v1/host.js";

/** No service answers at the socket or in time, or it does not let this user in: no mount was made, or none will stay. */
export class HostUnreachable extends Error {
  override readonly name: string = "HostUnreachable";
}

/** A service listens at the socket, and does not answer. No mount will stay if it goes on. */
export class HostSilent extends HostUnreachable {
  constructor(readonly afterMs: number) {
    super("the service does not answer");
  }
}

/** The service has ended, and no other one has the mount. */
export class HostGone extends CliError {}

/** The mount can be made, but not by a process that serves others, too. */
export class NeedsOwnProcess extends Error {
  override readonly name = "NeedsOwnProcess";

  constructor(readonly complaint: CliError) {
    super(complaint.message);
  }
}

/** Of anything that was thrown. */
export function failureOf(thrown: unknown): Failure {
  const error = forPerson(thrown);
  if (error instanceof NeedsOwnProcess) return { ...failureOf(error.complaint), needsOwnProcess: true };
  if (!(error instanceof CliError)) {
    const remedy = "this is a defect, please report it";
    return { object: "sluice", problem: codeOf(error), remedy, exitCode: EXIT.FAILED, needsOwnProcess: false };
  }
  const { object, remedy, exitCode, message } = error;
  // With the name of the errno, which `error.problem` is without.
  const problem = message.slice(object.length + 2, message.length - remedy.length - 2);
  return { object, problem, remedy, exitCode, needsOwnProcess: false };
}

function isExitCode(code: number): code is ExitCode {
  return Object.values<number>(EXIT).includes(code);
}

export function errorOf({ object, problem, remedy, exitCode, needsOwnProcess }: Failure): CliError | NeedsOwnProcess {
  const code = isExitCode(exitCode) && exitCode !== EXIT.DONE ? exitCode : EXIT.FAILED;
  const error = new CliError({ object, problem, remedy, exitCode: code });
  return needsOwnProcess ? new NeedsOwnProcess(error) : error;
}
