// mount(8), umount(8), /etc/fstab and mount.fuse3 as suites and init systems call them; and a user namespace of one's own.
import { requires, runScript } from "@sluice/testkit";
import { expect } from "vitest";
import { PROGRAM, directories, serversGone } from "./drop-in.js";

const LIMIT_MS = 180_000;

/**
 * The helpers are linked into /sbin of their own mount namespace, where /sbin is an overlay: the machine's files do not
 * change.
 */
const WITH_HELPERS = `
set -e
mkdir hu hw bu bw
mount -t overlay none /usr/sbin -o lowerdir=/usr/sbin,upperdir=hu,workdir=hw
mount -t overlay none /usr/local/bin -o lowerdir=/usr/local/bin,upperdir=bu,workdir=bw
"$PROGRAM" --install-helpers > /dev/null
row() { while read -r source at type flags rest; do [ "$at" != "$PWD/m" ] || echo "$source $type \${flags%%,user_id*}"; done < /proc/mounts; }
set +e
`;

function inNamespace(directory: string, script: string): ReturnType<typeof runScript> {
  return runScript(["unshare", "--mount", "--propagation", "private", "bash", "-c", WITH_HELPERS + script], {
    cwd: directory,
    env: { PROGRAM, XDG_STATE_HOME: directory },
    timeoutMs: 150_000,
  });
}

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command unshare");

test(
  "mount -t fuse.sluice, umount and mount again work as in test suites",
  async () => {
    const at = directories({ zero: "" }, { one: "" });
    const result = await inNamespace(
      at.directory,
      `
      mount -t fuse.sluice sluice $PWD/m -orw -olowerdir=l0:l1,upperdir=u,workdir=w; echo "$? $(row) $(cd m && echo *)"
      touch m/new; umount $PWD/m; echo "$? $(row)"
      mount -t fuse.sluice sluice $PWD/m -oro,noatime -olowerdir=l1; echo "$? $(row) $(cd m && echo *)"
      umount ./m; echo "$? $(row)"
      mount -t fuse.sluice sluice $PWD/m -olowerdir=l1,fastest; echo "$? $(row)"
      mount -t fuse.sluice sluice $PWD/m -olowerdir=nowhere; echo "$? $(row)"
      `,
    );
    expect(result.stdout.split("\n")).toEqual([
      "0 sluice fuse.sluice rw,relatime one zero",
      "0 ",
      "0 sluice fuse.sluice ro,noatime one",
      "0 ",
      "1 ",
      "32 ",
      "",
    ]);
    expect(await serversGone(at)).toBe(true);
  },
  LIMIT_MS,
);

test(
  "a line of /etc/fstab works, with options that other programs interpret",
  async () => {
    const at = directories({ a: "" });
    const result = await inNamespace(
      at.directory,
      `
      echo "overlay $PWD/m fuse.sluice lowerdir=$PWD/l0,upperdir=$PWD/u,workdir=$PWD/w,nofail,_netdev,noauto,nosuid,x-systemd.requires=/srv 0 0" > fstab
      mount -T fstab $PWD/m; echo "$? $(row)"
      mount -o remount,ro $PWD/m; echo "$? $(row)"
      touch m/new; echo "$?"
      mount -o remount,rw,noexec $PWD/m; echo "$? $(row)"
      touch m/new; echo "$?"
      sleep 100 > m/open & until [ -e m/open ]; do sleep 0.1; done
      mount -o remount,ro $PWD/m; echo "$?"
      kill $!; wait $! 2> /dev/null
      umount $PWD/m; echo "$? $(row)"
      mount -t fuse.sluice layers $PWD/m -o lowerdir=l0,nosymfollow
      mount -o remount,rw $PWD/m; echo "$? $(row)"
      mount -o remount,ro,noexec $PWD/m; echo "$? $(row)"
      umount $PWD/m
      `,
    );
    expect(result.stdout.split("\n")).toEqual([
      "0 overlay fuse.sluice rw,nosuid,relatime",
      "0 overlay fuse.sluice ro,nosuid,relatime",
      "1",
      "0 overlay fuse.sluice rw,nosuid,noexec,relatime",
      "0",
      "32",
      "0 ",
      "32 layers fuse.sluice ro,relatime,nosymfollow",
      "0 layers fuse.sluice ro,noexec,relatime,nosymfollow",
      "",
    ]);
    expect(result.stderr).toMatch(/m: it cannot be remounted \(EBUSY\): close what is open/);
    expect(result.stderr).toMatch(/m: it has no upper layer to write to \(EROFS\): /);
  },
  LIMIT_MS,
);

const fuse3 = requires("/dev/fuse", "CAP_SYS_ADMIN", "kernel overlayfs", "command unshare", "command mount.fuse3");
fuse3.test(
  "mount.fuse3 starts sluice-overlayfs by its name",
  async () => {
    const at = directories({ a: "" });
    const result = await inNamespace(
      at.directory,
      `
      mount -t fuse.sluice-overlayfs layers $PWD/m -o rw,lowerdir=$PWD/l0,upperdir=$PWD/u,workdir=$PWD/w; echo "$? $(row)"; umount $PWD/m
      mount -t fuse sluice-overlayfs#named $PWD/m -o ro,lowerdir=$PWD/l0; echo "$? $(row)"; umount $PWD/m
      `,
    );
    expect(result.stdout.split("\n")).toEqual(["0 layers fuse.sluice rw,relatime", "0 named fuse.sluice ro,relatime", ""]);
  },
  LIMIT_MS,
);

const rootless = requires("/dev/fuse", "user namespaces", "command getfattr", "command pgrep");
rootless.test(
  "in a user namespace marks are user.*, opens are mediated, and everything works",
  async () => {
    const at = directories({});
    const script = `
      mount -t tmpfs none /mnt && cd /mnt && mkdir -p l/gone l/dir u w m && echo low > l/a && echo deep > l/dir/f
      "$PROGRAM" -o lowerdir=l,upperdir=u,workdir=w,log=/mnt/log m; echo $?
      cat m/a; echo new > m/n; rm -r m/gone m/dir; mkdir m/dir; ls m m/dir
      getfattr -n user.sluice.mode --only-values m/n 2>&1; echo; getfattr -n user.overlay.opaque --only-values u/dir; echo
      umount m; echo $?
      for try in $(seq 600); do pgrep -f "[s]erve-main.js /mnt/log" > /dev/null || break; sleep 0.1; done; echo ended $(($try < 600)); cat log`;
    const result = await runScript(["unshare", "-Ur", "-m", "-p", "-f", "--mount-proc", "sh", "-c", script], {
      env: { PROGRAM, XDG_STATE_HOME: at.directory },
      timeoutMs: 120_000,
    });
    expect(result.stdout.replaceAll(/\{.*\}\n/g, "").split("\n")).toEqual([
      "0",
      "low",
      "m:",
      "a",
      "dir",
      "n",
      "",
      "m/dir:",
      "closed",
      "y",
      "0",
      "ended 1",
      "",
    ]);
  },
  LIMIT_MS,
);
