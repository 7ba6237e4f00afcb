/** Asynchronous I/O of many requests at once: the mount writes and reads what was asked for, as the backing file system does. */
import { mountsShareProcess, requires, runScript, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { enter, worlds } from "./worlds.js";

mountsShareProcess();

const LIMIT_MS = 150_000;
const { test } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "FUSE passthrough",
  "kernel overlayfs",
  "loop devices",
  "command mkfs.ext4",
  "command fio",
);

for (const engine of ["libaio", "io_uring"]) {
  for (const world of worlds) {
    test(
      `fio verifies its writes by ${engine} at depth 16 (${world})`,
      async () => {
        const place = await enter(world, scratch({ on: "ext4-loop" }));
        for (const direct of ["0", "1"]) {
          const options = [`--ioengine=${engine}`, "--iodepth=16", `--direct=${direct}`, "--verify=crc32c", "--size=6m", "--bs=4k"];
          const done = await runScript(["fio", "--name=verify", "--rw=randwrite", "--verify_fatal=1", ...options], {
            cwd: place.path,
            timeoutMs: LIMIT_MS,
          });
          expect(done.code, done.stderr || done.stdout).toBe(0);
        }
        await place.end();
      },
      LIMIT_MS,
    );
  }
}
