import { mkdirSync, readdirSync, statSync } from "node:fs";
import { Errno, O } from "@sluice/vfs";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { DirectoryFds } from "../layer/directory-fds.js";
import { FileCloses } from "../layer/file-closes.js";
import { HostLayer, RealDir } from "../layer/host-layer.js";
import { sys } from "../layer/system-calls.js";
import { withFault } from "../layer/testing/with-fault.js";
import { putWhiteout, type SharedWhiteout, type WhiteoutSource } from "./shared-whiteout.js";

interface Planted {
  folder: string;
  source: WhiteoutSource;
  upperFd: number;
  close: () => void;
}

function plantWhiteouts(): Planted {
  const folder = scratch();
  mkdirSync(`${folder}/work`);
  mkdirSync(`${folder}/upper`);
  const open = (path: string): number => sys.openat(-1, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const layer = new HostLayer(0, "upper", { path: folder, rootFd: open(folder) }, true);
  const work = new RealDir(layer, layer.root, "work");
  const fds = new DirectoryFds(64);
  const upperFd = open(`${folder}/upper`);
  let serial = 0;
  const whiteout: SharedWhiteout = { state: "none" };
  const source = { fds, closes: new FileCloses(), scratch: work, scratchName: () => `#${++serial}`, whiteout };
  return {
    folder,
    source,
    upperFd,
    close: () => {
      fds.closeAll();
      layer.close();
      sys.close(upperFd);
    },
  };
}

test("links whiteouts of one inode", () => {
  const { folder, source, upperFd, close } = plantWhiteouts();
  for (const name of ["a", "b"]) expect(putWhiteout(source, upperFd, name)).toBe(0);
  expect(statSync(`${folder}/upper/a`).ino).toBe(statSync(`${folder}/upper/b`).ino);
  close();
});

test("makes each whiteout by itself if the file system refuses links", () => {
  const { folder, source, upperFd, close } = plantWhiteouts();
  withFault({ call: "linkat", errno: Errno.EPERM }, () => expect(putWhiteout(source, upperFd, "a")).toBe(0));
  expect(source.whiteout).toEqual({ state: "impossible" });
  expect(putWhiteout(source, upperFd, "b")).toBe(0);
  expect(statSync(`${folder}/upper/a`).ino).not.toBe(statSync(`${folder}/upper/b`).ino);
  expect(readdirSync(`${folder}/work`)).toEqual([]);
  close();
});

test("begins another shared whiteout once the first has as many links as it can have", () => {
  const { folder, source, upperFd, close } = plantWhiteouts();
  expect(putWhiteout(source, upperFd, "a")).toBe(0);
  withFault({ call: "linkat", errno: Errno.EMLINK }, () => expect(putWhiteout(source, upperFd, "b")).toBe(0));
  expect(putWhiteout(source, upperFd, "c")).toBe(0);
  const inode = (name: string): number => statSync(`${folder}/upper/${name}`).ino;
  expect(inode("b")).toBe(inode("a"));
  expect(inode("c")).not.toBe(inode("a"));
  expect(readdirSync(`${folder}/work`)).toHaveLength(1);
  close();
});
