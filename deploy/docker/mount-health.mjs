// Tells whether a mount is alive: its file system answers and so does its control socket. For container health checks.
// Each question is put in a child process with a deadline, since a call into a stuck FUSE mount blocks its caller for
// good; a child that does not come back is killed and left behind, never waited for.
//
// Usage: mount-health.mjs MOUNTPOINT   exit 0: alive, 1: not (one line on stderr)
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const mountPoint = process.argv[2];
const DEADLINE_MS = 10_000;
const FUSE_SUPER_MAGIC = "65735546";
const cli = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

/** Resolves to the child's output, or rejects with why there is none. */
const ask = (name, command, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
    let output = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      child.unref();
      reject(new Error(`${name} did not answer within ${DEADLINE_MS} ms`));
    }, DEADLINE_MS);
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(output.trim());
      else reject(new Error(`${name} failed with status ${code}`));
    });
  });

const check = async () => {
  if (mountPoint === undefined) throw new Error("name a mount point");
  const [type] = await Promise.all([
    ask("statfs", "stat", ["--file-system", "--format=%t", mountPoint]),
    ask("the control socket", process.execPath, [cli, "status", mountPoint, "--json"]),
  ]);
  if (type !== FUSE_SUPER_MAGIC) throw new Error(`not a FUSE mount (file system type 0x${type})`);
};

try {
  await check();
  process.exit(0);
} catch (error) {
  process.stderr.write(`mount-health: ${mountPoint}: ${error.message}\n`);
  process.exit(1);
}
