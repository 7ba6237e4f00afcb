/** No signal that somebody sends by mistake leaves a mount without its server. */
import { bytes, file, layers, mountsBelow, mountSluice, requires, runScript, type SluiceMount } from "@sluice/testkit";
import { describe, expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const STRAY = ["SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU", "SIGXFSZ", "SIGPIPE"] as const;

function mounted(...args: readonly string[]): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { a: file("a") } });
  return mountSluice({ lowers: [lower], upper, args });
}

const read = async (mount: SluiceMount): Promise<string> => (await runScript(["cat", mount.path("a")])).stdout;

describe.each(["off", "on"])("with --keeper %s", (keeper) => {
  test("signals that mean nothing to a mount do not end it", async () => {
    const mount = await mounted("--keeper", keeper);
    for (const signal of STRAY) for (const pid of new Set([mount.pid, mount.serverPid])) process.kill(pid, signal);
    expect(await read(mount)).toBe("a");
    expect((await mount.status()) as object).toMatchObject(keeper === "on" ? { keeper: { restarts: 0 } } : {});
    expect((await mount.stop()).code).toBe(0);
  });

  test("SIGQUIT unmounts, as SIGTERM does", async () => {
    const mount = await mounted("--keeper", keeper);
    mount.signal("SIGQUIT");
    expect(await mount.exited).toEqual({ code: 0, signal: null });
    expect(mountsBelow(bytes(mount.mountpoint))).toEqual([]);
  });
});
