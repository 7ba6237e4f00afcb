/** The completion that `sluice completion` prints, as each shell itself understands it, with the mount point of a real mount. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountSluice, requires, runSluice, scratch, scriptOutput } from "@sluice/testkit";
import { expect } from "vitest";

const ZSH = fileURLToPath(new URL("./complete.zsh", import.meta.url));
const BASH = `source "$1"; COMP_WORDS=($2 "$3"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;

/** Asks a shell for the words that can stand at the end of a line. */
const SHELLS: Readonly<Record<string, (file: string, before: string, word: string) => string[]>> = {
  bash: (file, before, word) => ["bash", "-c", BASH, "bash", file, before, word],
  zsh: (file, before, word) => ["zsh", "-f", ZSH, file, `${before} ${word}`],
  fish: (file, before, word) => ["fish", "--no-config", "-c", `source ${file}; complete -C "${before} ${word}"`],
};

for (const [shell, argvOf] of Object.entries(SHELLS)) {
  const needs = requires("/dev/fuse", "CAP_SYS_ADMIN", ...(shell === "bash" ? [] : ([`command ${shell}`, "pseudo-terminals"] as const)));
  needs.test(`${shell} completes commands, options, values, and the mount points of running mounts`, async () => {
    const at = scratch();
    const [mountpoint, file] = [join(at, "a view"), join(at, "completion")];
    mkdirSync(mountpoint);
    mkdirSync(join(at, "other"));
    const mount = await mountSluice({ lowers: [scratch()], mountpoint });
    writeFileSync(file, (await runSluice(["completion", shell])).stdout);
    const complete = async (before: string, word: string): Promise<string[]> => {
      const out = await scriptOutput(argvOf(file, before, word), { cwd: at, env: { HOME: at, TERM: "xterm" } });
      // zsh offers what it would insert, with a space escaped; fish tells the description after a tab.
      return out.split("\n").flatMap((each) => (each === "" ? [] : [each.replaceAll("\\", "").replace(/\t.*/, "")]));
    };
    expect(await complete("sluice", "unm")).toEqual(["unmount"]);
    expect(await complete("sluice policy", "che")).toEqual(["check"]);
    // Not the options of 'sluice explain'.
    expect(await complete("sluice policy explain", "--cont")).toEqual(["--content"]);
    expect(await complete("sluice mount", "--on-r")).toContain("--on-revoke");
    expect((await complete("sluice mount --keeper", "")).sort()).toEqual(["off", "on"]);
    expect((await complete("sluice mount --engine", "")).sort()).toEqual(["auto", "devfuse", "fuse-native"]);
    expect((await complete("sluice mount --on-outage", "m")).sort()).toEqual(["mediate"]);
    expect((await complete("sluice keeper --locks", "")).sort()).toEqual(["auto", "daemon", "kernel"]);
    const services = await complete("sluice run --host-service", "");
    expect(services).toEqual(expect.arrayContaining(["auto", "off", "completion"]));
    expect(services).not.toContain("path");
    expect(await complete("sluice completion", "z")).toEqual(["zsh"]);
    expect(await complete("sluice answer 3", "")).toContain("session");
    // Other mounts of the machine may be there.
    expect(await complete("sluice status", "")).toContain(mountpoint);
    expect(await complete("sluice grants --json", `${at}/`)).toEqual([mountpoint]);
    expect((await complete("sluice status", "oth")).map((each) => each.replace("/", ""))).toContain("other");
    expect(await complete("sluice mount --policy x", "")).not.toContain(mountpoint);
    await mount.stop();
  });
}
