/** The command lines of `sluice policy …`: their options, nothing of their work. */
import { ALL_ACCESSES } from "@sluice/decision-api";
import type { PolicyDisk } from "@sluice/policy-backends";
import { type Command, Option } from "commander";
import type { DiffFlags } from "./diff-policies.js";
import type { ExplainFlags, PublishFlags, ReplayFlags, TestFlags } from "./try-policy.js";

const trying = () => import("./try-policy.js");

/** `disk`: how the files of a policy that is checked are reached, if not by this process. */
export function addPolicyCommands(program: Command, disk?: PolicyDisk): void {
  const policy = program.command("policy").description("check policies and try them");
  policy
    .command("check")
    .description("name every mistake of a policy file, with its place and the remedy; exits 2 if there is one")
    .argument("<file>", "the policy file")
    .option("--json", "one JSON object on standard output")
    .action(async (file: string, flags: { json?: true }) => (await import("./check-policy.js")).checkPolicy(file, flags, disk));
  policy
    .command("init")
    .description("write a policy to start from: agent, install or readonly (see 'sluice run --help')")
    .argument("<preset>", "the policy to copy")
    .argument("[file]", "the new file", "policy.yaml")
    .action(async (preset: string, file: string) => (await import("./presets.js")).writePreset(preset, file));
  policy
    .command("schema")
    .description("print the JSON schema of a rules policy, for editors")
    .action(async () => (await import("./print-schema.js")).printSchema());
  addTrying(policy);
}

function addTrying(policy: Command): void {
  policy
    .command("test")
    .description("run table cases against a policy of any kind; exits 1 if one fails")
    .argument("<file>", "the policy file")
    .argument("<cases>", "a YAML file: cases: [{path: …, access: …, uid: …, expect: deny}]")
    .option("--coverage", "name the rules that decide no case, too (kind: rules)")
    .action(async (file: string, cases: string, flags: TestFlags) => (await trying()).testPolicy(file, cases, flags));
  policy
    .command("replay")
    .description("put the questions of a decision log to a policy, and show what would change")
    .argument("<log>", "a file that 'sluice decision --decision-log' wrote")
    .requiredOption("--policy <file>", "the policy to try, of any kind")
    .option("--json", "one JSON object on standard output, with every path")
    .option("--exit-code", "exit 1 if anything would change")
    .action(async (log: string, flags: ReplayFlags) => (await trying()).replayDecisions(log, flags));
  policy
    .command("diff")
    .description("ask two policies the same questions, and show the answers that differ")
    .argument("<old>", "the policy before")
    .argument("<new>", "the policy after, of any kind")
    .option("--log <log>", "ask the questions of a decision log; -: standard input")
    .option("--tree <directory>", "ask about each file of a directory, as the lower layer of a mount; its extended attributes are not read")
    .addOption(new Option("--access <access...>", "with --tree: ask for these (default: each access, one by one)").choices(ALL_ACCESSES))
    .option("--uid <n>", "with --tree: who asks (default 1000)")
    .option("--gid <n>", "with --tree: their group (default: the uid)")
    .option("--executable <path>", "with --tree: with what (default /usr/bin/cat)")
    .option("--json", "one JSON object on standard output, with every path")
    .option("--exit-code", "exit 1 if an answer differs")
    .action(async (before: string, after: string, flags: DiffFlags) =>
      (await import("./diff-policies.js")).diffPolicies(before, after, flags),
    );
  policy
    .command("publish")
    .description("check a policy and put it into a NATS bucket, from where every decision service takes it")
    .argument("<file>", "the policy file, or a bundle (.tar.gz) with all that it names")
    .requiredOption("--to <file>", "a configuration with kind: nats")
    .option("--above <n>", "use this after recreating a bucket: it must exceed the revision in force")
    .action(async (file: string, flags: PublishFlags) => (await trying()).publishFile(file, flags));
  policy
    .command("explain")
    .description("show what a policy says of a path, and why, without a mount")
    .argument("<file>", "the policy file")
    .argument("<path>", "a path below the mount's root, such as data/file")
    .addOption(new Option("--access <access...>", "what is asked for").choices(ALL_ACCESSES).default(["read"]))
    .option("--uid <n>", "who asks (default 1000)")
    .option("--gid <n>", "their group (default: the uid)")
    .option("--executable <path>", "with what (default /usr/bin/cat)")
    .option("--layer <name>", "the layer of the file: upper, lower0, ... (default lower0)")
    .option("--content <file>", "its content, and its size (default nothing)")
    .option("--json", "one JSON object on standard output")
    .action(async (file: string, path: string, flags: ExplainFlags) => (await trying()).explainPath(file, path, flags));
}
