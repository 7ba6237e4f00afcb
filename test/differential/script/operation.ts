/** One call of one process, as a line of a script: `alice rename {"path":"a","to":"b"}`. Does not know how it is made. */

export type ArgValue = string | number | boolean;
export type Args = Readonly<Record<string, ArgValue>>;

/** The callers: processes of their own, each with its descriptors, ids and umask. */
export const ACTORS = {
  root: { uid: 0, gid: 0, groups: [0] },
  alice: { uid: 1000, gid: 1000, groups: [2000] },
  bob: { uid: 2000, gid: 2000, groups: [1000] },
  /** A second process of the user alice. */
  alice2: { uid: 1000, gid: 1000, groups: [2000] },
} as const;
export type Actor = keyof typeof ACTORS;

export interface Operation {
  actor: Actor;
  call: string;
  args: Args;
}

/** Operations on the mount itself, between calls. Descriptors do not outlive them. */
const CONTROLS = ["remount", "swap"] as const;
/** "swap": the upper layers change hands, and each implementation continues over the other one's layer. */
export type Control = (typeof CONTROLS)[number];

export function isControl(call: string): call is Control {
  return (CONTROLS as readonly string[]).includes(call);
}

export function formatOperation({ actor, call, args }: Operation): string {
  return `${actor} ${call} ${JSON.stringify(args)}`;
}

/** @throws Error naming the invalid line */
export function parseOperation(line: string): Operation {
  const [, actor = "", call = "", args = "{}"] = /^(\w+) (\w+) ?(\{.*\})?$/.exec(line) ?? [];
  if (!(actor in ACTORS)) throw new Error(`no operation: ${line}`);
  return { actor: actor as Actor, call, args: JSON.parse(args) as Args };
}

/** The slot's owner and number, which identify an open file. */
export function slotKey(actor: Actor, slot: ArgValue | undefined): string {
  return `${actor}:${slot}`;
}
