// Archives whose bytes depend on the content of a directory and on one time alone.
import { dirname, basename } from "node:path";
import { renameSync } from "node:fs";
import { runTool } from "./run-tool.mjs";

/** @param {string} directory becomes the one directory at the top @param {string} file ends with .tar.gz or .tgz @param {number} epoch */
export function archive(directory, file, epoch) {
  const tar = `${file}.part`;
  const same = ["--sort=name", "--format=ustar", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner"];
  runTool("tar", ["--create", "--file", tar, ...same, "--directory", dirname(directory), basename(directory)]);
  runTool("gzip", ["--no-name", "--best", tar]);
  renameSync(`${tar}.gz`, file);
}
