// Creates the bucket that a `kind: nats` file names, if it does not exist, then runs `sluice policy publish` with the
// same arguments. Creating buckets is otherwise an administrator's work, with `nats kv add`.
//
// Usage: publish-policy.mjs POLICY_FILE --to NATS_FILE   exit code: that of the command
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { parse } from "yaml";

const cli = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
const { servers, bucket } = parse(readFileSync(process.argv[4], "utf8"));
const PATIENCE_MS = 30_000;

const made = async () => {
  const connection = await connect({ servers, timeout: 2_000, waitOnFirstConnect: false });
  try {
    await new Kvm(connection).create(bucket, { history: 10 });
  } finally {
    await connection.close();
  }
};

for (const deadline = Date.now() + PATIENCE_MS; ; ) {
  try {
    await made();
    break;
  } catch (error) {
    if (Date.now() > deadline) {
      process.stderr.write(`publish-policy: ${servers}: ${error.message}\n`);
      process.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
process.exit(spawnSync(process.execPath, [cli, "policy", "publish", ...process.argv.slice(2)], { stdio: "inherit" }).status ?? 1);
