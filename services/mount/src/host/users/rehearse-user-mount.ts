/**
 * Prepares the process for the next mount of an ordinary user, which somebody waits for: V8 compiles code, and Node loads its own modules, when they
 * are used for the first time. So it plans a mount of directories of its own, as it will plan that of the user. It has nothing of a user yet.
 */
import { chmodSync, chownSync, constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RUN_DIRECTORY, removeRunDirectories } from "@sluice/mount-control";
import { everyThreadWithin, native } from "@sluice/native";
import { refuseConfined } from "./confined-peer.js";
import type { Tell } from "../../preflight/tell.js";
import { type Peer, peerOfSocket } from "./peer-of-socket.js";
import { REHEARSAL_POLICY, REHEARSAL_SPEC } from "./rehearsal-spec.js";
import { isAwaited } from "./spare-process.js";
import { parseSpec, type UserSpec } from "./user-spec.js";

/**
 * The user whose mount is planned. Root in its place would lose its capabilities: one gets them back from another user alone. No process
 * has this number, as services have that of "nobody": whoever had it could put links into the directories, which root follows.
 */
const NOBODY: Peer = { uid: 4_294_967_293, gid: 4_294_967_293, groups: [] };

const DIRECTORIES = ["view", "lower", "", "upper", "work"];
const PRIVATE = 0o700;
const OTHERS_ENTER = 0o711;

/** Plans the mount of this form, with the descriptors that it announces. */
type Plan = (spec: UserSpec, fds: readonly number[], peer: Peer, tell: Tell) => unknown;

/** Of this process. It has no_new_privs, which a user's process must not have. */
function lookForConfinement(socket: number, peer: Peer): void {
  try {
    refuseConfined(socket, peer);
  } catch {
    // The code has run.
  }
}

/** `pair`: of sockets. `fds` gets each descriptor that is opened. */
function rehearse(plan: Plan, { at, pair, fds }: { at: string; pair: Int32Array; fds: number[] }): void {
  const [ours = -1] = pair;
  const spec = parseSpec(JSON.stringify(REHEARSAL_SPEC));
  if (spec === undefined || peerOfSocket(ours) === undefined) return;
  lookForConfinement(ours, NOBODY);
  // The directory of all is root's, so nobody else can replace one of them.
  for (const name of DIRECTORIES) {
    if (name !== "") mkdirSync(join(at, name), { mode: PRIVATE });
    if (name !== "") chownSync(join(at, name), NOBODY.uid, NOBODY.gid);
    fds.push(openSync(join(at, name), constants.O_RDONLY | constants.O_DIRECTORY));
  }
  writeFileSync(join(at, REHEARSAL_POLICY), "");
  fds.push(openSync(join(at, REHEARSAL_POLICY), constants.O_RDONLY));
  plan(spec, fds, NOBODY, () => undefined);
}

/** Leaves nothing, and does nothing if somebody waits already. A failure hinders nobody. */
export function rehearseWith(plan: Plan): void {
  if (isAwaited()) return;
  // It is asked when the mount is planned.
  everyThreadWithin(0n);
  const at = join(RUN_DIRECTORY, `rehearsal-${process.pid}`);
  const pair = new Int32Array([-1, -1]);
  const fds: number[] = [];
  try {
    mkdirSync(RUN_DIRECTORY, { recursive: true, mode: OTHERS_ENTER });
    // One that was killed with the same number left it.
    rmSync(at, { recursive: true, force: true });
    mkdirSync(at, { mode: PRIVATE });
    chmodSync(at, OTHERS_ENTER);
    native.seqpacketPair(pair);
    rehearse(plan, { at, pair, fds });
  } catch {
    // Such as without a place for the directories.
  }
  for (const fd of [...pair, ...fds]) if (fd >= 0) native.close(fd);
  removeRunDirectories(join(at, "view"));
  rmSync(at, { recursive: true, force: true });
}
