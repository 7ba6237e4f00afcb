/**
 * A process that runs cases in a mounted tree and prints a line of JSON before and after each. Its own process, since a
 * call may hang for good if the file system under test fails, and since it takes other users' identities.
 *
 * Arguments: optionally --forgetful (the kernel forgets the mount's inodes and names after each call), the mount point, then the names
 * of the directories of the cases to run.
 */
import { writeSync } from "node:fs";
import { allCases } from "../cases/all-cases.js";
import { type Case, directoryName } from "../cases/case.js";
import { dropCaches, forgetterOf } from "../probe/forget-names.js";
import { Probe } from "../probe/probe.js";
import { actAsRoot } from "../probe/recorder.js";

function say(line: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}

async function runOne(mountpoint: string, one: Case): Promise<void> {
  const name = directoryName(one.name);
  say({ began: name });
  const probe = new Probe(`${mountpoint}/${name}`);
  // Only root may do it, and the call before may have been another user's.
  if (forget !== undefined) probe.afterEach = () => actAsRoot(forget);
  try {
    await one.run(probe);
  } catch (error) {
    probe.note("threw", String(error));
  }
  say({ ended: name, steps: probe.steps });
}

const forgetful = process.argv[2] === "--forgetful";
const [mountpoint = "", ...names] = process.argv.slice(forgetful ? 3 : 2);
const forget = forgetful ? forgetterOf(mountpoint) : undefined;
process.umask(0o022);
const wanted = new Set(names);
// Once for all cases, since each has directories of its own in the layers, which nobody looked at since.
if (forgetful) dropCaches();
for (const one of allCases) {
  if (wanted.has(directoryName(one.name))) await runOne(mountpoint, one);
}
