/** All calls that a case can make. This file adds extended attributes. */
import { native } from "@sluice/native";
import { AT } from "@sluice/vfs";
import { DataProbe } from "./data-probe.js";

export class Probe extends DataProbe {
  setxattr(path: string, name: string, value: string, flags = 0): void {
    this.record(`setxattr ${path} ${name}`, native.setxattrat(AT.FDCWD, this.at(path), name, Buffer.from(value, "latin1"), flags));
  }

  getxattr(path: string, name: string, room = 65_536): void {
    const bytes = Buffer.alloc(room);
    const length = native.getxattrat(AT.FDCWD, this.at(path), name, bytes);
    const shown = room === 0 ? length : bytes.toString("latin1", 0, Math.max(0, length));
    this.record(`getxattr ${path} ${name} ${room}`, length, shown);
  }

  listxattr(path: string, room = 65_536): void {
    const bytes = Buffer.alloc(room);
    const length = native.listxattrat(AT.FDCWD, this.at(path), bytes);
    const names = bytes
      .toString("latin1", 0, Math.max(0, length))
      .split("\0")
      .filter((name) => name !== "");
    this.record(`listxattr ${path} ${room}`, length, room === 0 ? length : names.sort());
  }

  removexattr(path: string, name: string): void {
    this.record(`removexattr ${path} ${name}`, native.removexattrat(AT.FDCWD, this.at(path), name));
  }

  fsetxattr(fd: number, name: string, value: string): void {
    this.record(`fsetxattr ${name}`, native.setxattrat(fd, "", name, Buffer.from(value, "latin1"), 0));
  }

  fgetxattr(fd: number, name: string): void {
    const bytes = Buffer.alloc(65_536);
    const length = native.getxattrat(fd, "", name, bytes);
    this.record(`fgetxattr ${name}`, length, bytes.toString("latin1", 0, Math.max(0, length)));
  }
}
