/**
 * The seccomp filter of the command, for calls that no namespace separates. ioctl(2) with TIOCSTI or TIOCLINUX fails (EPERM): by those a
 * program types into a terminal. The command has one of its own; the filter also holds for terminals that it gets in other ways. The calls
 * for keyrings are missing (ENOSYS): the caller's session keyring, which may hold tickets and passwords, comes with its processes. Root gets no cgroup
 * namespace (EPERM): with a user namespace around it, it mounts the control groups below the caller's, whose processes root could then end.
 */

const AUDIT_ARCH = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7, arm: 0x40000028 } as const;
/** x32 shares the word of x86_64, and has a bit of its own. */
const X32 = 0x40000000;
const IOCTL = { x86_64: [16, X32 | 514], i386: [54], aarch64: [29], arm: [54] } as const;
/** add_key(2), request_key(2) and keyctl(2). */
const KEYS = {
  x86_64: [248, 249, 250, X32 | 248, X32 | 249, X32 | 250],
  i386: [286, 287, 288],
  aarch64: [217, 218, 219],
  arm: [309, 310, 311],
} as const;
/** unshare(2) and clone(2): the flags are their first argument. */
const NAMESPACES = { x86_64: [272, 56, X32 | 272, X32 | 56], i386: [310, 120], aarch64: [97, 220], arm: [337, 120] } as const;
/** Its flags lie in memory, which no filter sees. Programs then call clone(2). */
const CLONE3 = { x86_64: [435, X32 | 435], i386: [435], aarch64: [435], arm: [435] } as const;
const CLONE_NEWCGROUP = 0x02000000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
/** Places in struct seccomp_data. The low half of an argument comes first on each of these machines. */
const AT = { nr: 0, arch: 4, flags: 16, request: 24 } as const;
const OP = { load: 0x20, jumpIfEqual: 0x15, jumpIfSet: 0x45, return: 0x06 } as const;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const [EPERM, ENOSYS] = [1, 38];

interface Step {
  label?: string;
  op: number;
  value: number;
  /** A label further down, for the case that the word is equal, or has the bit. Otherwise the next step follows. */
  to?: string;
}

const load = (value: number, label?: string): Step => ({ op: OP.load, value, ...(label === undefined ? {} : { label }) });
const jump = (value: number, to: string): Step => ({ op: OP.jumpIfEqual, value, to });
const jumpIfSet = (value: number, to: string): Step => ({ op: OP.jumpIfSet, value, to });
const answer = (value: number, label?: string): Step => ({ op: OP.return, value, ...(label === undefined ? {} : { label }) });

type Arch = keyof typeof AUDIT_ARCH;
const ARCHES: readonly Arch[] = ["x86_64", "aarch64", "i386", "arm"];

const callsOf = (arch: Arch, asRoot: boolean): Step[] => [
  load(AT.nr, arch),
  ...IOCTL[arch].map((nr) => jump(nr, "ioctl")),
  ...KEYS[arch].map((nr) => jump(nr, "missing")),
  ...(asRoot ? NAMESPACES[arch].map((nr) => jump(nr, "namespaces")) : []),
  ...(asRoot ? CLONE3[arch].map((nr) => jump(nr, "missing")) : []),
  answer(ALLOW),
];

const steps = (asRoot: boolean): Step[] => [
  load(AT.arch),
  ...ARCHES.map((arch) => jump(AUDIT_ARCH[arch], arch)),
  answer(ALLOW),
  ...ARCHES.flatMap((arch) => callsOf(arch, asRoot)),
  ...[load(AT.request, "ioctl"), jump(TIOCSTI, "refused"), jump(TIOCLINUX, "refused"), answer(ALLOW)],
  ...[load(AT.flags, "namespaces"), jumpIfSet(CLONE_NEWCGROUP, "refused"), answer(ALLOW)],
  answer(ERRNO | EPERM, "refused"),
  answer(ERRNO | ENOSYS, "missing"),
];

/** An array of struct sock_filter, as `bwrap --seccomp` reads it. */
export function callFilter({ asRoot }: { asRoot: boolean }): Buffer {
  const all = steps(asRoot);
  const bytes = Buffer.alloc(all.length * 8);
  for (const [index, { op, value, to }] of all.entries()) {
    bytes.writeUInt16LE(op, index * 8);
    if (to !== undefined) bytes.writeUInt8(all.findIndex(({ label }) => label === to) - index - 1, index * 8 + 2);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}
