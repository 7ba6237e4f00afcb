/** A search over every file of the merged view. */
import { tryCommand } from "./run-command.js";
import type { SearchOutput, ViewInput } from "./task-table.js";

const WORD = "readFileSync";

export function searchTree({ mountPoint }: ViewInput): SearchOutput {
  // -I gives up on a binary file at its first block; status 2 tells that some file could not be read: the denied ones.
  const { status, stdout, stderr } = tryCommand("grep", ["-rIlF", "-e", WORD, "."], { cwd: mountPoint });
  const complaints = stderr
    .trim()
    .split("\n")
    .filter((line) => line !== "");
  const strange = complaints.filter((line) => !line.endsWith("Permission denied"));
  if (status > 2 || strange.length > 0) throw new Error(`grep: status ${status}: ${strange.slice(0, 3).join("; ")}`);
  const files = tryCommand("find", [".", "-type", "f", "-printf", "."], { cwd: mountPoint }).stdout.length;
  return {
    files,
    matches: stdout
      .trim()
      .split("\n")
      .filter((line) => line !== "").length,
    refused: complaints.length,
  };
}
