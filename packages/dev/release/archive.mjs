// Archives whose bytes depend on the content of a directory and on one time alone.
import { basename, dirname } from "node:path";
import { renameSync } from "node:fs";
import { runTool } from "./run-tool.mjs";

/** @param {string} directory @param {readonly string[]} names of its entries, in order @param {string} file to write @param {number} epoch */
export function pack(directory, names, file, epoch) {
  const same = ["--sort=name", "--format=ustar", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner"];
  runTool("tar", ["--create", "--file", file, ...same, "--directory", directory, ...names]);
}

/** @param {string} directory becomes the one directory at the top @param {string} file ends with .tar.gz or .tgz @param {number} epoch */
export function archive(directory, file, epoch) {
  const tar = `${file}.part`;
  pack(dirname(directory), [basename(directory)], tar, epoch);
  runTool("gzip", ["--no-name", tar]);
  renameSync(`${tar}.gz`, file);
}
