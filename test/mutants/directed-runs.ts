/** Short runs that test one area each: the sweep of a few calls over every state, a random profile, or a script. */
import { drawRound, type Round, sweepRound } from "../differential/generate/draw-round.js";
import { parseSequence, type Setting } from "../differential/script/script.js";

export type Directed = () => Round;

const MEDIATED: Setting = { mode: "mediated", ground: "disk", lowers: 1, readOnly: false, forgetful: false, index: true };
const GRANTED: Setting = { ...MEDIATED, mode: "granted" };
const MIXED: Setting = { ...MEDIATED, mode: "mixed" };

const sweep =
  (setting: Setting, ...calls: readonly string[]): Directed =>
  () =>
    sweepRound(1, setting, calls);

/** Random sequences of these calls alone. */
const random =
  (setting: Setting, ...calls: readonly string[]): Directed =>
  () =>
    drawRound(1, { sequences: 24, operations: 40, setting, controls: [], profile: Object.fromEntries(calls.map((call) => [call, 1])) });

const script =
  (setting: Setting, text: string): Directed =>
  () => ({ seed: 0, setting, sequences: [{ name: "s0", ...parseSequence(text) }] });

const O_RDWR = 2;
const O_RDONLY = 0;

export const cases = {
  symlinks: script(
    MEDIATED,
    `plant upper "f" {"kind":"file","content":"target","traits":{}}
plant lower0 "l" {"kind":"symlink","target":"f","traits":{}}
root chown {"path":"l","uid":1000,"gid":1000}
root stat {"path":"l"}
root stat {"path":"f"}
`,
  ),
  longNames: script(
    MEDIATED,
    `root stat {"path":"${"y".repeat(256)}"}
root mkdir {"path":"${"y".repeat(256)}","mode":493}
`,
  ),
  unlinked: sweep(MEDIATED, "fstat", "ftruncate", "fchmod"),
  copyUp: sweep(MEDIATED, "chmod", "truncate", "setxattr"),
  listings: sweep(MEDIATED, "list", "unlink"),
  making: sweep(MEDIATED, "mkdir", "create", "mknod", "tmpfile"),
  inheriting: script(
    MEDIATED,
    `plant lower0 "d" {"kind":"directory","entries":{},"traits":{"mode":1535,"gid":2000}}
plant lower0 "d/gone" {"kind":"file","content":"text","traits":{}}
plant lower0 "e" {"kind":"directory","entries":{},"traits":{"mode":511,"xattrs":{"system.posix_acl_default":"\\u0002\\u0000\\u0000\\u0000\\u0001\\u0000\\u0007\\u0000ÿÿÿÿ\\u0002\\u0000\\u0007\\u0000è\\u0003\\u0000\\u0000\\u0004\\u0000\\u0005\\u0000ÿÿÿÿ\\u0010\\u0000\\u0007\\u0000ÿÿÿÿ \\u0000\\u0000\\u0000ÿÿÿÿ"}}}
plant lower0 "e/gone" {"kind":"file","content":"text","traits":{}}
root unlink {"path":"d/gone"}
root unlink {"path":"e/gone"}
bob mkdir {"path":"d/gone","mode":511}
bob create {"path":"e/gone","mode":438,"text":"x"}
`,
  ),
  setuid: script(
    MEDIATED,
    `plant lower0 "f" {"kind":"file","content":"program","traits":{"mode":2559}}
alice open {"slot":0,"path":"f","flags":${O_RDWR}}
alice pwrite {"slot":0,"at":0,"text":"x"}
alice fstat {"slot":0}
`,
  ),
  mappedWrites: script(
    GRANTED,
    `plant lower0 "f" {"kind":"file","content":"mapped","traits":{"mode":438}}
root open {"slot":0,"path":"f","flags":${O_RDWR}}
root fstat {"slot":0}
root mapwrite {"slot":0,"length":6,"at":1,"text":"x"}
root fstat {"slot":0}
`,
  ),
  renames: sweep(MEDIATED, "rename"),
  noReplace: script(
    MEDIATED,
    `plant lower0 "f" {"kind":"file","content":"text","traits":{}}
root rename {"path":"f","to":"g","flags":1}
`,
  ),
  emptied: script(
    MEDIATED,
    `plant lower0 "d/f" {"kind":"file","content":"text","traits":{}}
root unlink {"path":"d/f"}
root rmdir {"path":"d"}
`,
  ),
  rewinds: script(
    MEDIATED,
    `plant lower0 "d/low" {"kind":"file","content":"","traits":{}}
plant upper "d/up" {"kind":"file","content":"","traits":{}}
root open {"slot":0,"path":"d","flags":65536}
root relist {"slot":0}
root create {"path":"d/new","mode":420,"text":""}
root relist {"slot":0}
`,
  ),
  oldTimes: script(
    MEDIATED,
    `plant lower0 "f" {"kind":"file","content":"","traits":{}}
root utimes {"path":"f","sec":-5,"nsec":7}
root stat {"path":"f"}
`,
  ),
  readers: script(
    MEDIATED,
    `plant lower0 "f" {"kind":"file","content":"lower content","traits":{"mode":438}}
alice open {"slot":0,"path":"f","flags":${O_RDONLY}}
alice pread {"slot":0,"at":0,"length":5}
root truncate {"path":"f","size":2}
root open {"slot":1,"path":"f","flags":${O_RDWR}}
root pwrite {"slot":1,"at":0,"text":"UPPER"}
alice pread {"slot":0,"at":0,"length":50}
`,
  ),
  removing: sweep(MEDIATED, "unlink", "rmdir", "create"),
  marks: script(
    MEDIATED,
    `plant lower0 "d/f" {"kind":"file","content":"","traits":{}}
plant upper "d" {"kind":"directory","entries":{},"traits":{"mode":511}}
root setxattr {"path":"d","name":"trusted.overlay.opaque","value":"y","flags":0}
root getxattr {"path":"d","name":"trusted.overlay.opaque"}
root list {"path":"d"}
`,
  ),
  heldReaders: script(
    GRANTED,
    `plant lower0 "f" {"kind":"file","content":"lower content","traits":{"mode":438}}
alice open {"slot":0,"path":"f","flags":${O_RDONLY}}
root open {"slot":1,"path":"f","flags":${O_RDWR}}
root pwrite {"slot":1,"at":0,"text":"UPPER"}
root pread {"slot":1,"at":0,"length":50}
root read {"path":"f"}
`,
  ),
  mixedModes: script(
    MIXED,
    `plant lower0 "f" {"kind":"file","content":"lower content","traits":{"mode":438}}
plant lower0 "g" {"kind":"file","content":"lower content","traits":{"mode":438}}
root open {"slot":0,"path":"f","flags":${O_RDONLY}}
alice open {"slot":0,"path":"f","flags":${O_RDONLY}}
alice pread {"slot":0,"at":0,"length":50}
alice open {"slot":1,"path":"g","flags":${O_RDONLY}}
root open {"slot":1,"path":"g","flags":${O_RDONLY}}
root pread {"slot":1,"at":0,"length":50}
`,
  ),
  opening: script(
    MEDIATED,
    `plant lower0 "f" {"kind":"file","content":"text","traits":{}}
plant upper "g" {"kind":"file","content":"text","traits":{}}
root open {"slot":0,"path":"f","flags":513}
root open {"slot":1,"path":"g","flags":513}
root read {"path":"f"}
root read {"path":"g"}
`,
  ),
  attributes: random(MEDIATED, "chmod", "setxattr", "listxattr"),
} satisfies Record<string, Directed>;
