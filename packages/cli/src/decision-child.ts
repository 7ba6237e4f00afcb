/**
 * The embedded decision service's process. It starts with its parent's rights, so that its code may lie where nobody
 * else can read it, and gives all of them up before it looks at a policy, a socket or a question.
 */
import { check, native } from "@sluice/native";
import { runCli } from "@sluice/runtime";
import { addDecisionCommand, addPolicyCommands } from "@sluice/service-decision";
import { Command } from "commander";

/** nobody and nogroup: they own nothing. */
const NOBODY = 65_534;

function dropPrivileges(): void {
  if (process.geteuid?.() === 0) {
    // Takes every capability of every thread with it.
    check(native.becomeUser(NOBODY, NOBODY), "give up root's rights");
  }
  native.setNoNewPrivileges();
}

dropPrivileges();
const program = new Command("sluice");
addDecisionCommand(program);
addPolicyCommands(program);
process.exitCode = await runCli(program);
