// A user who is not root, as a machine with rootless containers has them: in /etc/passwd, with a range of subordinate ids,
// and with /dev/fuse open to everybody (udev's rule). All of it in a mount namespace of its own: the machine stays as it is.
import { scratch } from "../trees/scratch.js";

export const ORDINARY_USER = { name: "sluicer", uid: 12_345, gid: 12_345 } as const;
/** The first of 65,536 subordinate ids. */
const SUBORDINATE = 200_000;

const BECOME = `
set -e
own=$1; shift
mkdir "$own/etc"; mount -t tmpfs -o mode=755 none "$own/etc"
mknod -m 666 "$own/etc/fuse" c 10 229; mount --bind "$own/etc/fuse" /dev/fuse
mkdir -m 700 "$own/run" "$own/home"; chown $USER_ID:$USER_ID "$own/run" "$own/home"
replace() { mount --bind "$own/etc/$1" "/etc/$1"; }
{ cat /etc/passwd; echo "$USER_NAME:x:$USER_ID:$USER_ID::$own/home:/bin/sh"; } > "$own/etc/passwd"; replace passwd
{ cat /etc/group; echo "$USER_NAME:x:$USER_ID:"; } > "$own/etc/group"; replace group
for file in subuid subgid; do echo "$USER_NAME:$SUBORDINATE:65536" > "$own/etc/$file"; replace $file; done
export HOME="$own/home" XDG_RUNTIME_DIR="$own/run" USER=$USER_NAME
exec setpriv --reuid=$USER_ID --regid=$USER_ID $USER_GROUPS "$@"
`;

/**
 * The command that runs `argv` as that user; needs CAP_SYS_ADMIN, unshare and setpriv. The home directory is empty. `groups`: the user's
 * further groups.
 */
export function asOrdinaryUser(argv: readonly string[], groups: readonly number[] = []): string[] {
  const { name, uid } = ORDINARY_USER;
  const option = groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`;
  const variables = [`USER_NAME=${name}`, `USER_ID=${uid}`, `USER_GROUPS=${option}`, `SUBORDINATE=${SUBORDINATE}`];
  return ["env", ...variables, "unshare", "--mount", "--propagation", "private", "sh", "-c", BECOME, "sh", scratch(), ...argv];
}
