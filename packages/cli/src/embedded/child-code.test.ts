import { chmodSync, closeSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { childCode } from "./child-code.js";
import { CODE_FD } from "./child-user.js";

const home = mkdtempSync(join(tmpdir(), "child-code-"));
const checkout = join(home, "checkout");
const program = join(checkout, "dist", "program.js");
mkdirSync(join(checkout, "dist"), { recursive: true });
writeFileSync(program, "");
afterAll(() => rmSync(home, { recursive: true }));

const user = { kind: "own", uid: 61_190, gid: 61_190, release: () => undefined } as const;

function withModes(modes: Readonly<Record<string, number>>): ReturnType<typeof childCode> {
  const all = { [home]: 0o755, [checkout]: 0o755, [join(checkout, "dist")]: 0o755, [program]: 0o644, ...modes };
  for (const [path, mode] of Object.entries(all)) chmodSync(path, mode);
  return childCode(program, user);
}

test("a program that the user can reach is started by its path", () => {
  expect(withModes({})).toEqual({ argv: [program], fd: undefined });
  expect(withModes({ [home]: 0o711 })).toEqual({ argv: [program], fd: undefined });
});

test("a program below a private directory is started by a descriptor of the directory below that", () => {
  const { argv, fd } = withModes({ [home]: 0o700 });
  expect(argv.at(-1)).toBe(`/proc/self/fd/${CODE_FD}/dist/program.js`);
  closeSync(fd as number);
});

test("a program that the user may not read is refused with the remedy", () => {
  expect(() => withModes({ [program]: 0o600 })).toThrow(/program\.js: the decision service runs as user 61190.*chmod/s);
  expect(() => withModes({ [join(checkout, "dist")]: 0o700 })).toThrow("may not read it");
});

test("a service with the user of the mount is started by its path", () => {
  withModes({ [home]: 0o755 });
  expect(childCode(program, { kind: "shared", why: "" })).toEqual({ argv: [program], fd: undefined });
});
