/** An open that waits for a person when its server dies waits on with the next one, and gets the answer. */
import {
  eventually,
  killProcess,
  mountSluice,
  plant,
  policyOf,
  requires,
  runSluice,
  scratch,
  startScript,
  statusOf,
  identifyProcess,
  type ProcessIdentity,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const WAIT_MS = 60_000;

test("a question survives the server of its mount", async () => {
  const mount = await mountSluice({
    lowers: [plant(scratch(), { "a.key": "secret" })],
    policy: policyOf("grant", { name: "person", path: "*.key", effect: "ask" }),
    args: ["--keeper", "on"],
  });
  const reading = startScript(["cat", mount.path("a.key")], { timeoutMs: 150_000 });
  const asked = async (): Promise<string | undefined> => {
    const { stdout } = await runSluice(["asks", "--json", mount.mountpoint]);
    const asks = JSON.parse(stdout === "" ? "[]" : stdout) as { askId: string; waiting: number }[];
    return asks.find(({ waiting }) => waiting > 0)?.askId;
  };
  let askId: string | undefined;
  await eventually("it waits", WAIT_MS, async () => (askId = await asked()) !== undefined);
  const { pid } = await statusOf(mount);
  killProcess(identifyProcess(pid) as ProcessIdentity);
  await eventually("the next server serves", WAIT_MS, async () => (await statusOf(mount)).pid !== pid);
  await eventually("it waits again", WAIT_MS, async () => (await asked()) === askId);
  expect((await runSluice(["answer", askId ?? "", "once"])).code).toBe(0);
  expect((await reading.finished).stdout).toBe("secret");
  expect((await mount.stop()).code).toBe(0);
});
