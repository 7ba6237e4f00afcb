/** Without privilege in the initial namespace, the kernel refuses passthrough, and both engines still serve. */
import { fileURLToPath } from "node:url";
import { plant, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "fuse-native", "user namespaces");
const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));

/** In namespaces of its own: layers on a tmpfs, a mount, a read and a write, the status, the end, and the leftovers. */
const SCRIPT = `
mount -t tmpfs none /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/portable && echo low > /mnt/l/a
"$NODE" "$CLI" mount --engine "$1" --lower /mnt/l --upper /mnt/u --work /mnt/w -o userxattr --control /mnt/ctl /mnt/portable > /mnt/out 2> /mnt/err &
pid=$!
for try in $(seq 600); do grep -q mounted /mnt/out && break; kill -0 $pid || break; sleep 0.1; done
cat /mnt/portable/a; echo new > /mnt/portable/n; cat /mnt/portable/n
"$NODE" "$CLI" status --json --control /mnt/ctl /mnt/portable
kill -TERM $pid; wait $pid; echo "exit $?"
grep -c ' /mnt/portable ' /proc/self/mountinfo
grep -o 'passthrough o[nf]*' /mnt/out
cat /mnt/err >&2
`;

interface Outcome {
  words: string[];
  status: { engine: { name: string; passthrough: boolean }; fallbacks: Record<string, number>; anomalies: number };
  log: string;
}

async function inNamespace(engine: string): Promise<Outcome> {
  const env = { NODE: process.execPath, CLI };
  const result = await runScript(["unshare", "-Ur", "-m", "-p", "-f", "--mount-proc", "sh", "-c", SCRIPT, "sh", engine], {
    env,
    timeoutMs: 150_000,
  });
  const json = /^\{[\s\S]*^\}$/m.exec(result.stdout)?.[0];
  if (json === undefined) throw new Error(`${result.stdout}\n${result.stderr}`);
  const words = result.stdout
    .replace(json, "")
    .split("\n")
    .filter((line) => line !== "");
  return { words, status: JSON.parse(json) as Outcome["status"], log: result.stderr };
}

const reasons = (outcome: Outcome): string[] =>
  Object.entries(outcome.status.fallbacks).flatMap(([reason, count]) => (count > 0 ? [reason] : []));

test("devfuse serves, and reports that nothing passes through, which the kernel would refuse", async () => {
  const outcome = await inNamespace("devfuse");
  expect(outcome.words).toEqual(["low", "new", "exit 0", "0", "passthrough off"]);
  expect(outcome.status).toMatchObject({ engine: { name: "devfuse", passthrough: false }, anomalies: 0 });
  expect(reasons(outcome)).toEqual(["not-negotiated"]);
});

requires("/dev/fuse", "fuse-native", "user namespaces", "command fusermount").test("fuse-native serves through fusermount", async () => {
  const outcome = await inNamespace("fuse-native");
  expect(outcome.words).toEqual(["low", "new", "exit 0", "0", "passthrough off"]);
  expect(outcome.status).toMatchObject({ engine: { name: "fuse-native" }, anomalies: 0 });
  expect(reasons(outcome)).toEqual(["not-negotiated"]);
});

test("auto uses devfuse, which can mount here", async () => {
  const outcome = await inNamespace("auto");
  expect(outcome.status.engine.name).toBe("devfuse");
});

requires("/dev/fuse", "user namespaces", "command bwrap").test(
  "a user namespace without a mount namespace of its own is told which one it needs",
  async () => {
    const [lower, mountpoint] = [plant(scratch(), { a: "x" }), scratch()];
    const within = (...words: string[]): ReturnType<typeof runScript> => runScript(["unshare", "-Ur", process.execPath, CLI, ...words]);
    const mounted = await within("mount", "--lower", lower, mountpoint);
    expect(mounted).toMatchObject({ code: 4, stderr: expect.stringContaining("(EPERM): run as root, or in 'unshare -Urm'") as string });
    expect((await within("doctor")).stdout).toMatch(/^LACK +mount: .*'unshare -Urm'/m);
  },
);
