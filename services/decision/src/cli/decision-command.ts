/** The command line of `sluice decision`: its options, nothing of its work. */
import { LOG_LEVELS } from "@sluice/runtime/cli";
import { type Command, Option } from "commander";
import type { DecisionFlags } from "./run-decision.js";

export function addDecisionCommand(program: Command): void {
  program
    .command("decision")
    .description("run the decision service alone")
    .option("--policy <file>", "the policy, of any kind, or a directory with policy.yaml; an edit holds for the next question")
    .option("--listen <target>", "unix:///PATH (mode 0600) or HOST:PORT")
    .option("--listen-fd <n>", "a listening unix socket that was inherited, instead of --listen")
    .option("--allow-uid <uid...>", "users that may connect to the unix socket (default: this user and root)")
    .option("--admin <host:port>", "serve /metrics, /healthz, /readyz and, on loopback, the web console at /console/")
    .option("--admin-token-file <file>", "serve the console on any address, to holders of this token")
    .option("--decision-log <target>", "one JSON line for each decision: FILE, stdout or off (default off)")
    .option("--ask-timeout <duration>", "how long a caller waits for a person, under a rule with effect: ask", "60s")
    .option("--answers <file>", "write the answers of people that hold until they are revoked to this file")
    .option("--tracing-endpoint <url>", "send spans of traced questions to this OpenTelemetry collector (OTLP over HTTP)")
    .option("--decision-log-config <file>", "the same as a file says: several sinks, rotation, masks, what is left out, back-pressure")
    .option("--tls-cert <file>", "certificate (PEM), for TCP")
    .option("--tls-key <file>", "its key (PEM)")
    .option("--tls-client-ca <file>", "ask clients for a certificate of this authority")
    .option("--tls-client-san <name...>", "and only for these names in it, such as URI:spiffe://example.org/mount/a")
    .option("--authzen <host:port>", "answer AuthZEN 1.0 too: /access/v1/evaluation and evaluations, over TLS if --tls-cert is given")
    .option("--authzen-url <url>", "the address that clients know it by (default: its own)")
    .option("--authzen-token-file <file>", "ask them for this bearer token")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .action(async (flags: DecisionFlags) => (await import("./run-decision.js")).runDecision(flags));
}
