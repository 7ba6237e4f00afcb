/** The end of `sluice run --learn`: writes the policy that the command would have needed. */
import { readFileSync, writeFileSync } from "node:fs";
import { native, openBeneath } from "@sluice/native";
import { codeOf, escapeTextName, failed, unfit } from "@sluice/runtime/cli";
import { presetFile } from "@sluice/service-decision/presets";
import type { Session } from "@sluice/sessions";
import { errnoName, O } from "@sluice/vfs";
import { parse, stringify } from "yaml";
import { type Learned, type LearnedRule, learnPolicy, type Secrets } from "./learn-policy.js";

const WIDTH = 120;

/** The files that the preset for agents calls secrets. */
function knownSecrets(): Secrets {
  const { rules } = parse(readFileSync(presetFile("agent") as string, "utf8")) as { rules: LearnedRule[] };
  const found = rules.find(({ name }) => name === "secrets");
  return { patterns: found?.path ?? [], when: found?.when };
}

function readLog(session: Session): string {
  const fd = openBeneath(session.fd, "decisions", O.RDONLY | O.NONBLOCK, 0);
  if (fd < 0) throw unfit(session.path("decisions"), `the decision log cannot be read (${errnoName(-fd)})`, "see the log of the session");
  try {
    return readFileSync(fd, "utf8");
  } finally {
    native.close(fd);
  }
}

function textOf({ policy, secrets }: Learned, { record }: Session): string {
  const command = record.command.map(escapeTextName).join(" ");
  const about = [`Learned by 'sluice run --learn' from: ${command}`, "Everything that is not named here is denied."];
  if (secrets.length > 0) about.push(`The command used secrets: look at the rules that begin with secrets-.`);
  return `${about.map((line) => `# ${line}\n`).join("")}${stringify(policy, { lineWidth: WIDTH })}`;
}

/** @param to a file, or true for standard output. @throws CliError */
export function learn(session: Session, to: string | true): void {
  const learned = learnPolicy(readLog(session), knownSecrets());
  const text = textOf(learned, session);
  if (to === true) {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(to, text);
  } catch (error) {
    throw failed(to, `the policy cannot be written (${codeOf(error)})`, "name a file that you can write");
  }
}
