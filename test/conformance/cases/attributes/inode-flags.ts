/** Files and directories that may not be changed, or only be added to (chattr +i, +a), in each layer. */
import { dir } from "../../tree/tree.js";
import type { Probe } from "../../probe/probe.js";
import type { Case } from "../case.js";

const IMMUTABLE = 0x8;
const APPEND = 0x10;
const NOATIME = 0x40;

/** FS_IOC_FSSETXATTR: struct fsxattr begins with the flags. */
function setFlags(t: Probe, path: string, value: number): void {
  t.perl(
    `flags ${value} of ${path}`,
    `open(my $f, '<', '${path}') or die $!; my $x = "\\0" x 28; ioctl($f, 0x801c581f, $x) or print "get $! "; substr($x, 0, 4) = pack('L', ${value}); print ioctl($f, 0x401c5820, $x) ? "set" : $!;`,
  );
}

function changes(t: Probe, path: string): void {
  for (const flags of [1, 2, 0o2001, 0o2002, 0o1001, 0o3001, 0]) {
    const fd = t.open(path, flags);
    if (fd >= 0) t.write(fd, "+");
    t.close(fd);
  }
  t.perl(`truncate ${path}`, `print truncate("${path}", 1) ? "ok" : $!`);
  t.chmod(path, 0o600);
  t.chown(path, 1, 1);
  t.utimes(path, 900_000_000);
  t.utimesNow(path);
  t.setxattr(path, "user.x", "1");
  t.setxattr(path, "trusted.x", "1");
  t.removexattr(path, "user.x");
  t.link(path, "linked");
  t.rename(path, "moved");
  t.rename("other", path);
  t.rename("other", path, 2);
  t.unlink(path);
  t.stat(path);
}

function below(t: Probe, path: string): void {
  t.create(`${path}/new`, "x");
  t.mkdir(`${path}/sub`);
  t.symlink("x", `${path}/link`);
  t.link("other", `${path}/linked`);
  t.rename("other", `${path}/other`);
  t.rename(`${path}/x`, `${path}/y`);
  t.rename(`${path}/x`, "x");
  t.unlink(`${path}/x`);
  t.rmdir(`${path}/s`);
  t.rmdir(`${path}/full`);
  t.append(t.open(`${path}/x`, 1), "+");
  t.rename(path, `${path}-moved`);
  t.rmdir(path);
  t.chmod(path, 0o700);
  t.chown(path, 1, 1);
  t.utimes(path, 900_000_000);
  t.utimesNow(path);
  t.setxattr(path, "user.x", "1");
  t.list(path);
}

/** Reads the time of change by stat(2) after the flags were set: the kernel may cache it. */
function changeTime(t: Probe, path: string): void {
  t.perl(
    `time of change of ${path}`,
    `my $before = (stat "${path}")[10]; my $now = time; sleep 1 while time < $now + 2; open(my $f, '<', '${path}') or die $!; my $x = "\\0" x 28; ioctl($f, 0x801c581f, $x); substr($x, 0, 4) = pack('L', ${NOATIME}); ioctl($f, 0x401c5820, $x) or print $!; print +(stat "${path}")[10] > $before ? "moved" : "the same";`,
  );
}

const TREE = { f: "content", other: "other", d: dir({ x: "1", s: dir(), full: dir({ y: "1" }) }) };

export const inodeFlagCases: readonly Case[] = [
  ...flaggedCases(),
  {
    name: "the time of change moves when flags are set",
    lower: { d: dir() },
    upper: { f: "content" },
    run(t) {
      t.stat("f");
      changeTime(t, "f");
      changeTime(t, "d");
    },
  },
];

function flaggedCases(): Case[] {
  return (["lower", "upper"] as const).flatMap((layer) =>
    [IMMUTABLE, APPEND].map((flag) => ({
      name: `${flag === APPEND ? "append only" : "immutable"} files and directories of the ${layer} layer`,
      ...(layer === "lower" ? { lower: TREE } : { upper: TREE }),
      // The source of a refused rename onto an immutable file is copied up before the host refuses.
      seenOnly: true,
      run(t: Probe) {
        setFlags(t, "f", flag);
        changes(t, "f");
        setFlags(t, "f", 0);
        setFlags(t, "d", flag);
        below(t, "d");
        setFlags(t, "d", 0);
        t.list();
      },
    })),
  );
}
