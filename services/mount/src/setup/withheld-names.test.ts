import { Errno, type Filesystem, FilesystemDecorator, type RenameArgs } from "@sluice/vfs";
import { expect, test } from "vitest";
import { WithheldNames } from "./withheld-names.js";

const CALL = { pid: 1, uid: 0, gid: 0, groups: undefined, signal: new AbortController().signal };
const ARGS: RenameArgs = { parent: 1, name: "a", newParent: 1, newName: "b", flags: 0 };

function openPromise(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Gives the names of the renames that reach it. */
function recording(): { filesystem: Filesystem; renamed: string[] } {
  const renamed: string[] = [];
  class Recording extends FilesystemDecorator {
    override rename(...[, args]: Parameters<Filesystem["rename"]>): number {
      renamed.push(args.newName);
      return 0;
    }
  }
  return { filesystem: new Recording({} as Filesystem), renamed };
}

test("a call by name waits for the first policy, with its arguments as they were", async () => {
  const { filesystem, renamed } = recording();
  const first = openPromise();
  let unknown = true;
  const withheld = new WithheldNames(filesystem, () => unknown, first.promise);
  const args = { ...ARGS };
  const status = withheld.rename(CALL, args);
  args.newName = "another request";
  expect(renamed).toEqual([]);
  unknown = false;
  first.resolve();
  expect(await status).toBe(0);
  expect(withheld.rename(CALL, args)).toBe(0);
  expect(renamed).toEqual(["b", "another request"]);
});

test("calls by name fail with EAGAIN if no policy came in time, and go on once one comes", async () => {
  const { filesystem, renamed } = recording();
  const first = openPromise();
  let unknown = true;
  const withheld = new WithheldNames(filesystem, () => unknown, first.promise);
  const waiting = withheld.rename(CALL, ARGS);
  first.resolve();
  expect(await waiting).toBe(Errno.EAGAIN);
  expect(withheld.rename(CALL, ARGS)).toBe(Errno.EAGAIN);
  unknown = false;
  expect(withheld.rename(CALL, ARGS)).toBe(0);
  expect(renamed).toEqual(["b"]);
});
