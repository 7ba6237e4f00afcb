// Prints one extended attribute of a file, for scripts on machines without getfattr.
import { constants } from "node:fs";
import { native } from "@sluice/native";

const [path, name] = process.argv.slice(2);
const value = Buffer.alloc(4096);
const fd = native.openat(-100, Buffer.from(path).toString("latin1"), 0o10000000 | constants.O_CLOEXEC, 0);
const length = fd < 0 ? fd : native.getxattrat(fd, "", name, value);
if (length < 0) {
  process.stderr.write(`read-xattr: ${path}: ${name}: errno ${-length}\n`);
  process.exit(1);
}
process.stdout.write(`${value.toString("utf8", 0, length)}\n`);
