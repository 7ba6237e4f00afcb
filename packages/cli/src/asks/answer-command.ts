/** `sluice answer`: a person's answer to a question of `sluice asks`. */
import { PERSON_ANSWERS, type PersonAnswer } from "@sluice/decision-api";
import { unfit } from "@sluice/runtime/cli";
import { Argument, type Command } from "commander";
import { findAsks, giveAnswer } from "./find-asks.js";
import { controlOption } from "../commands/shared-options.js";

const NOTES = `
  once      allows the opens that wait now; if none waits, the next attempt
  session   allows it to the same program and user, for the same file and access, until the decision service ends
  always    the same until it is revoked; needs a file of answers, which 'sluice run' has ('--answers' of other mounts)
  deny      denies it until the decision service ends, or the answer is revoked
  revoke    forgets an answer of 'sluice asks --answered': the next attempt asks again
`;

async function give(askId: string, answer: PersonAnswer, mount: string | undefined, args: { control?: string }): Promise<void> {
  const places = (await findAsks(mount, args.control)).filter(({ item }) => item.askId === askId);
  if (places.length === 0)
    throw unfit(askId, "no such question waits: it has an answer, or its time is over (ENOENT)", "see 'sluice asks'");
  for (const place of places) await giveAnswer(place, { method: "answer", askId, answer, way: "command" });
}

export function addAnswerCommand(program: Command): void {
  program
    .command("answer")
    .description("answer a question of 'sluice asks'")
    .argument("<id>", "of the question, as 'sluice asks' shows it")
    .addArgument(new Argument("<answer>", "the answer").choices(PERSON_ANSWERS))
    .argument("[mount]", "the mount point or session that asks; by default all that do")
    .addOption(controlOption())
    .addHelpText("after", NOTES)
    .action(give);
}
