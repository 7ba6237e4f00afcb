import { describe, expect, test } from "vitest";
import { requires } from "../machine/requirements.js";
import { asUser, runScript, scriptOutput, startScript } from "./run-script.js";

describe("runScript", () => {
  test("runs module source with arguments, input and the addon at hand", async () => {
    const source = `
      const { native } = await import(process.env.SLUICE_NATIVE_URL);
      let text = ""; for await (const chunk of process.stdin) text += chunk;
      console.log(process.argv[1], text, native.pidfdOpen(process.pid) > 0);`;
    expect(await scriptOutput(source, { args: ["a"], input: "in" })).toBe("a in true\n");
  });

  test("tells an exit code from a signal and from a timeout", async () => {
    expect(await runScript("process.exit(3)")).toMatchObject({ code: 3, signal: null, timedOut: false });
    expect(await runScript("process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 60000)")).toMatchObject({ signal: "SIGTERM" });
    expect(await runScript(["sleep", "60"], { timeoutMs: 50 })).toMatchObject({ code: null, timedOut: true });
    expect(await runScript(["no-such-program"])).toMatchObject({ code: 127 });
  });

  test("waits for a word, and says so when it never comes", async () => {
    const script = startScript(["sh", "-c", "echo ready; read line; echo got $line"]);
    await script.waitFor("ready");
    script.write("x\n");
    await script.waitFor("got x");
    await expect(startScript(["true"]).waitFor("never")).rejects.toThrow(/ended without saying "never"/);
  });

  requires("CAP_SYS_ADMIN", "command setpriv").test("runs as another user without groups", async () => {
    expect((await asUser(1234, 2345, ["id"])).stdout).toBe("uid=1234 gid=2345 groups=2345\n");
    expect((await runScript(["id", "-G"], { as: { uid: 1, gid: 2, groups: [3, 4] } })).stdout.trim()).toBe("2 3 4");
  });
});
