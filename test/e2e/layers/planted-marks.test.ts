/** A caller's attribute is never taken for a mark of the overlay, under any name, and survives a remount. */
import { directory, layers, mountSluice, mountsShareProcess, publicFile, requires, runScript, type Tree } from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command getfattr", "command setfattr", "command setpriv");

const USER = { uid: 1000, gid: 1000 };
const ALL = ["user.overlay.opaque", "user.fuseoverlayfs.opaque", "trusted.overlay.opaque"];
const MODES: readonly { options: string; names: readonly string[] }[] = [
  { options: "foreign_marks=on", names: ALL },
  { options: "foreign_marks=on,userxattr", names: ALL },
  { options: "userxattr", names: ["user.overlay.opaque", "user.overlay.whiteout"] },
  { options: "redirect_dir=on", names: ["trusted.overlay.opaque", "trusted.overlay.redirect"] },
];

for (const { options, names } of MODES) {
  test(`an attribute that a caller sets under the name of a mark hides nothing (-o ${options})`, async () => {
    const directories = names.map((_, at) => [`d${at}/`, directory({ mode: 0o755, ...USER })]);
    const files = names.flatMap((_, at) => [
      [`d${at}/kept`, publicFile("content")],
      [`d${at}/empty`, publicFile("", { ...USER })],
    ]);
    const { lower, upper } = layers({ lower: Object.fromEntries([...directories, ...files]) as Tree });
    const args = ["-o", options];
    const first = await mountSluice({ lowers: [lower], upper, args });
    for (const [at, name] of names.entries()) {
      const script = `setfattr -n ${name} -v y d${at} && setfattr -n ${name} -v y d${at}/empty`;
      const caller = name.startsWith("user.") ? { as: USER } : {};
      const done = await runScript(["sh", "-c", script], { cwd: first.mountpoint, ...caller });
      expect(done).toMatchObject({ code: 0, stderr: "" });
    }
    await first.stop();
    const second = await mountSluice({ lowers: [lower], upper, args });
    for (const [at, name] of names.entries()) {
      const script = `ls d${at} && getfattr --only-values -n ${name} d${at} && getfattr -m - d${at}`;
      const seen = await runScript(["sh", "-c", script], { cwd: second.mountpoint });
      expect(seen.stdout).toBe(`empty\nkept\ny# file: d${at}\n${name}\n\n`);
    }
    await second.stop();
  });
}

test("a copy-up does not copy another overlay's mark from a lower directory, since it would hide the copy", async () => {
  const { lower, upper } = layers({
    lower: { "d/": directory({ xattrs: { "user.fuseoverlayfs.opaque": "y", "user.note": "kept" } }), "d/kept": publicFile("content") },
  });
  const args = ["-o", "foreign_marks=on"];
  const first = await mountSluice({ lowers: [lower], upper, args });
  expect(await runScript(["sh", "-c", "touch d/new"], { cwd: first.mountpoint })).toMatchObject({ code: 0 });
  await first.stop();
  const second = await mountSluice({ lowers: [lower], upper, args });
  const seen = await runScript(["sh", "-c", "ls d && getfattr -m - d"], { cwd: second.mountpoint });
  expect(seen.stdout).toBe("kept\nnew\n# file: d\nuser.note\n\n");
  await second.stop();
});
