/**
 * The seccomp filter of the command: ioctl(2) with TIOCSTI or TIOCLINUX fails (EPERM). By those a program types into the terminal that it
 * shares with the caller's shell, which would run the text after the program has ended.
 */

const AUDIT_ARCH = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7, arm: 0x40000028 } as const;
/** The numbers of ioctl(2): x32 shares the word of x86_64, with a bit of its own. */
const IOCTL = { x86_64: 16, x32: 0x40000000 | 514, i386: 54, aarch64: 29, arm: 54 } as const;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
/** Places in struct seccomp_data. The low half of the second argument comes first on each of these machines. */
const AT = { nr: 0, arch: 4, request: 24 } as const;
const OP = { load: 0x20, jumpIfEqual: 0x15, return: 0x06 } as const;
const ALLOW = 0x7fff0000;
const EPERM = 0x00050000 | 1;

interface Step {
  label?: string;
  op: number;
  value: number;
  /** A label further down, for the case that the word is equal. Otherwise the next step follows. */
  to?: string;
}

const load = (value: number, label?: string): Step => ({ op: OP.load, value, ...(label === undefined ? {} : { label }) });
const jump = (value: number, to: string): Step => ({ op: OP.jumpIfEqual, value, to });
const answer = (value: number, label?: string): Step => ({ op: OP.return, value, ...(label === undefined ? {} : { label }) });

const STEPS: readonly Step[] = [
  load(AT.arch),
  ...[
    jump(AUDIT_ARCH.x86_64, "x86_64"),
    jump(AUDIT_ARCH.aarch64, "aarch64"),
    jump(AUDIT_ARCH.i386, "other"),
    jump(AUDIT_ARCH.arm, "other"),
  ],
  answer(ALLOW),
  ...[load(AT.nr, "x86_64"), jump(IOCTL.x86_64, "ioctl"), jump(IOCTL.x32, "ioctl"), answer(ALLOW)],
  ...[load(AT.nr, "aarch64"), jump(IOCTL.aarch64, "ioctl"), answer(ALLOW)],
  ...[load(AT.nr, "other"), jump(IOCTL.i386, "ioctl"), answer(ALLOW)],
  ...[load(AT.request, "ioctl"), jump(TIOCSTI, "refuse"), jump(TIOCLINUX, "refuse"), answer(ALLOW)],
  answer(EPERM, "refuse"),
];

/** Whether the filter knows this machine. */
export function filtersTerminal(arch: string = process.arch): boolean {
  return arch === "x64" || arch === "arm64";
}

/** An array of struct sock_filter, as `bwrap --seccomp` reads it. */
export function terminalFilter(): Buffer {
  const bytes = Buffer.alloc(STEPS.length * 8);
  for (const [index, { op, value, to }] of STEPS.entries()) {
    bytes.writeUInt16LE(op, index * 8);
    if (to !== undefined) bytes.writeUInt8(STEPS.findIndex(({ label }) => label === to) - index - 1, index * 8 + 2);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}
