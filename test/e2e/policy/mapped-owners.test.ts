/** With mapped owners, a policy sees callers by their own ids, not by those that they have on the layers. */
import { directory, file, layers, mountSluice, mountsShareProcess, requires, runScript, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv");

/** The layers' id 1000 is shown as 100999, and their 0 as 1000. */
const MAPPED = ["-o", "uidmapping=0:1000:1:1:100000:65536,gidmapping=0:1000:1:1:100000:65536"];

async function attempt(mount: SluiceMount, id: number, script: string): Promise<number> {
  return (await runScript(["sh", "-c", script], { cwd: mount.mountpoint, env: { LC_ALL: "C" }, as: { uid: id, gid: id } })).code ?? -1;
}

for (const id of ["uid", "gid"]) {
  test(`no caller gets the answers of a caller whose ${id} equals the caller's own one on the layers`, async () => {
    const { lower, upper } = layers({ lower: { "open/": directory({ mode: 0o777 }), "open/file": file("x", { mode: 0o666 }) } });
    const policy = `version: 1\ndefault: deny\nrules:\n  - { name: first, subject: { ${id}: 1000 }, effect: grant }\n`;
    const mount = await mountSluice({ lowers: [lower], upper, policy, args: MAPPED });
    for (const script of ["echo y > open/NAME", "mkdir open/NAME.d", "cat open/file"]) {
      const made = await attempt(mount, 1000, script.replace("NAME", "first"));
      const again = await attempt(mount, 1000, script.replace("NAME", "second"));
      const other = await attempt(mount, 100_999, script.replace("NAME", "third"));
      expect([script, made, again, other > 0]).toEqual([script, 0, 0, true]);
    }
    await mount.stop();
  });
}
