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
    .option("--decision-log <target>", "write one JSON line for each decision to this file or to stdout; by default off")
    .option("--ask-timeout <duration>", "how long a caller waits for a person, under a rule with effect: ask", "60s")
    .option("--answers <file>", "write the answers of people that hold until they are revoked to this file")
    .option("--tracing-endpoint <url>", "send spans of traced questions to this OpenTelemetry collector (OTLP over HTTP)")
    .option(
      "--decision-log-config <file>",
      "configure the decision log by this YAML file: several sinks, rotation, masks, filters, back-pressure",
    )
    .option("--tls-cert <file>", "certificate (PEM), for TCP")
    .option("--tls-key <file>", "the key of this certificate (PEM)")
    .option("--tls-client-ca <file>", "require a certificate of this authority from clients")
    .option(
      "--tls-client-san <name...>",
      "accept only certificates of clients with one of these names, such as URI:spiffe://example.org/mount/a",
    )
    .option("--authzen <host:port>", "answer AuthZEN 1.0 too: /access/v1/evaluation and evaluations, over TLS if --tls-cert is given")
    .option("--authzen-url <url>", "the URL under which AuthZEN clients reach the service; by default its own address")
    .option("--authzen-token-file <file>", "require this bearer token from AuthZEN clients")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .action(async (flags: DecisionFlags) => (await import("./run-decision.js")).runDecision(flags));
}
