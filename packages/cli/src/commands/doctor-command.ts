/** `sluice doctor`: checks the machine. */
import { EXIT } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import { splitEscaped } from "@sluice/mount-control";
import type { CheckResult } from "@sluice/service-mount/doctor";
import { collect } from "./shared-options.js";

const SIGNS: Readonly<Record<CheckResult["state"], string>> = { ok: "ok   ", limit: "limit", lack: "LACK " };

function line(result: CheckResult): string {
  const remedy = result.remedy === undefined ? "" : `\n       -> ${result.remedy}`;
  return `${SIGNS[result.state]}  ${result.name}: ${result.detail}${remedy}\n`;
}

async function doctor(args: { lower?: string[]; json?: boolean }): Promise<void> {
  const { checkUp } = await import("@sluice/service-mount/doctor");
  const results = await checkUp((args.lower ?? []).flatMap((list) => splitEscaped(list, ":", true)));
  process.stdout.write(args.json === true ? `${JSON.stringify(results, null, 2)}\n` : results.map(line).join(""));
  if (results.some((result) => result.state === "lack")) process.exitCode = EXIT.MACHINE;
}

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("check this machine and name a remedy for each problem; exit code 3 if Sluice cannot mount here")
    .addOption(new Option("--lower <dirs>", "layers to check too; may be repeated").argParser(collect))
    .option("--json", "as JSON")
    .action(doctor);
}
