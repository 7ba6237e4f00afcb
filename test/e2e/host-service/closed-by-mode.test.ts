/**
 * The owner of files and directories that their own mode closes to the owner does with them in a view of the host service what the owner does with
 * them in a directory. Every operation runs on every pair of modes in both, and the outcomes are compared.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { diffSnapshots, requires, runScript, scratch, snapshot } from "@sluice/testkit";
import { expect } from "vitest";
import { pythonAs, USER, UserHome, usersShareHost } from "./user-home.js";

usersShareHost();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "command python3", "checkout that every user can read");

/** Shared by both scripts: names tell the operation, the mode of the file and that of its directory. */
const MODES = `
base = sys.argv[1]
os.umask(0)
FILE_MODES = [0o000, 0o200, 0o400, 0o444, 0o600, 0o644]
DIRECTORY_MODES = [0o755, 0o555, 0o444, 0o644, 0o300, 0o000]
def read(path):
    with open(path) as file: return file.read().strip()
def write(path, flags):
    fd = os.open(path, flags); os.write(fd, b"x"); os.close(fd)
def opened(path):
    os.chmod(path, 0o755)
    return path
def names(path): return ",".join(sorted(os.listdir(path)))
def out(path): return base + "/out/" + path[len(base):].replace("/", "-")
ON_FILES = {
    "read": read, "stat": lambda path: oct(os.stat(path).st_mode), "unlink": os.unlink,
    "write": lambda path: write(path, os.O_WRONLY), "append": lambda path: write(path, os.O_WRONLY | os.O_APPEND),
    "truncate": lambda path: os.truncate(path, 0), "shorten": lambda path: os.truncate(path, 1),
    "chmod": lambda path: os.chmod(path, 0o600), "chmod-read": lambda path: (os.chmod(path, 0o600), read(path))[1],
    "chmod-write": lambda path: (os.chmod(path, 0o600), write(path, os.O_RDWR), read(path))[2],
    "touch": os.utime, "set-times": lambda path: os.utime(path, (5, 5)),
    "chgrp": lambda path: os.chown(path, -1, os.getgid()),
    "set-attribute": lambda path: os.setxattr(path, "user.a", b"1"), "get-attribute": lambda path: os.getxattr(path, "user.a"),
    "rename": lambda path: os.rename(path, path + "-n"), "move": lambda path: os.rename(path, out(path)),
    "link": lambda path: os.link(path, out(path)),
}
ON_DIRECTORIES = {
    "list": names, "stat": lambda path: oct(os.stat(path).st_mode), "chmod": lambda path: os.chmod(path, 0o755),
    "chmod-list": lambda path: names(opened(path)), "chmod-read": lambda path: read(opened(path) + "/in"),
    "chmod-change": lambda path: (write(opened(path) + "/in", os.O_WRONLY), read(path + "/in"))[1],
    "chmod-make": lambda path: (open(opened(path) + "/new", "w").close(), os.unlink(path + "/in"), names(path))[2],
    "chmod-deep": lambda path: (opened(path) and names(opened(path + "/sub")), read(path + "/sub/deep"), os.readlink(path + "/sub/link")),
    "chmod-remove": lambda path: (os.unlink(opened(path) + "/in"), os.unlink(opened(path + "/sub") + "/deep"), os.unlink(path + "/sub/link"), os.rmdir(path + "/sub"), os.rmdir(path))[0],
    "chmod-close": lambda path: (os.listdir(opened(path)), os.chmod(path, 0), os.listdir(path)),
    "set-times": lambda path: os.utime(path, (5, 5)), "set-attribute": lambda path: os.setxattr(path, "user.a", b"1"),
    "make": lambda path: open(path + "/new", "w").close(), "remove-in": lambda path: os.unlink(path + "/in"),
    "remove-empty": os.rmdir, "remove-full": os.rmdir,
}
`;

const PLANT = `${MODES}
closed = []
os.mkdir(base + "/out")
for mode in DIRECTORY_MODES:
    directory = f"{base}/files-{mode:03o}"
    os.mkdir(directory)
    for file_mode in FILE_MODES:
        for operation in ON_FILES:
            path = f"{directory}/{operation}-{file_mode:03o}"
            with open(path, "w") as file: file.write(path[len(base):] + "\\n")
            os.utime(path, (3, 3))
            os.chmod(path, file_mode)
    closed.append((directory, mode))
    for operation in ON_DIRECTORIES:
        path = f"{base}/{operation}-{mode:03o}"
        os.mkdir(path)
        if operation != "remove-empty":
            os.mkdir(path + "/sub")
            for name in ("/in", "/sub/deep"):
                with open(path + name, "w") as file: file.write(name)
            os.symlink("somewhere", path + "/sub/link")
            closed.append((path + "/sub", mode))
        closed.append((path, mode))
for path, mode in closed: os.chmod(path, mode)
`;

const ACT = `${MODES}
outcomes = {}
def act(name, operation, path):
    try: outcomes[name] = str(operation(path))
    except OSError as error: outcomes[name] = errno.errorcode[error.errno]
for mode in DIRECTORY_MODES:
    for file_mode in FILE_MODES:
        for operation, run in ON_FILES.items():
            act(f"{operation} of a file {file_mode:03o} in {mode:03o}", run, f"{base}/files-{mode:03o}/{operation}-{file_mode:03o}")
    for operation, run in ON_DIRECTORIES.items():
        act(f"{operation} of a directory {mode:03o}", run, f"{base}/{operation}-{mode:03o}")
print(json.dumps(outcomes))
`;

async function runAs(script: string, base: string): Promise<string> {
  const { code, stdout, stderr } = await runScript(pythonAs(USER, script, base), { timeoutMs: 150_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** Names, modes and contents. */
function treeOf(path: string): ReturnType<typeof snapshot> {
  return snapshot(path);
}

test("an owner changes in a view what is closed by its own mode as in a directory, and nothing in the lower layer", async () => {
  const home = await UserHome.make({});
  const bare = join(scratch(), "bare");
  mkdirSync(bare);
  await runScript(["chown", `${USER.uid}:${USER.gid}`, bare]);
  for (const base of [bare, home.at("lower")]) await runAs(PLANT, base);
  const before = treeOf(home.at("lower"));
  await home.mount();
  const inDirectory = JSON.parse(await runAs(ACT, bare)) as Record<string, string>;
  const inView = JSON.parse(await runAs(ACT, home.mountpoint)) as Record<string, string>;
  const different = Object.keys(inDirectory)
    .filter((name) => inDirectory[name] !== inView[name])
    .map((name) => `${name}: ${inView[name]} instead of ${inDirectory[name]}`);
  expect(different).toEqual([]);
  expect(Object.values(inDirectory).filter((outcome) => outcome === "EACCES").length).toBeGreaterThan(100);
  expect(diffSnapshots(before, treeOf(home.at("lower")))).toEqual([]);
});
