/** `sluice grants`: the open files of a mount, once or as they open and close. */
import { escapeLine, escapeTextName, table } from "@sluice/runtime/cli";
import type { Command } from "commander";
import type { Passing } from "@sluice/overlay";
import { ask, connectControl, type GrantItem, noDaemon } from "@sluice/mount-control";
import { placeOf } from "../place-of.js";
import { controlOption, MOUNT_ARGUMENT } from "./shared-options.js";

const HEAD = ["PATH", "LAYER", "MODE", "ACCESS", "PID", "UID", "DECISION", "REVISION", "RULE", "SINCE"];

const PASSING: Record<Passing, string> = {
  passthrough: "passes through",
  mapping: "mappings of it pass through",
  "shared-pages": "passes through: it shares pages with an open that is allowed",
  "kept-pages": "passes through until the kernel has dropped its pages",
};

function revokedNote({ revoked }: GrantItem): string {
  if (revoked === null) return "";
  const by = `REVOKED: ${revoked.effect} by ${revoked.rule ?? "default"}`;
  return `${by}, ${revoked.passing === null ? "refused" : PASSING[revoked.passing]}`;
}

function row(grant: GrantItem): string[] {
  const notes = [revokedNote(grant), grant.fallback ?? "", grant.io === "passthrough-direct" ? "mappings pass through" : ""].filter(
    (note) => note !== "",
  );
  const mode = notes.length === 0 ? grant.mode : `${grant.mode} (${notes.join("; ")})`;
  return [
    escapeTextName(grant.path),
    grant.layer,
    mode,
    grant.write ? "write" : "read",
    String(grant.pid),
    String(grant.uid),
    grant.decision ?? "-",
    grant.revision?.slice(0, 12) ?? "-",
    grant.rule ?? "-",
    grant.since ?? "-",
  ];
}

interface GrantsArguments {
  json?: boolean;
  watch?: boolean;
  control?: string;
}

async function show(name: string, args: GrantsArguments): Promise<void> {
  const { mountpoint, control } = await placeOf(name, args.control);
  const socket = await connectControl(mountpoint, control);
  if (socket === undefined) throw noDaemon(mountpoint, control);
  const watch = args.watch === true;
  const items: GrantItem[] = [];
  for await (const item of ask(socket, { method: "grants", watch }, mountpoint)) {
    const grant = item as GrantItem;
    if (!watch) items.push(grant);
    else if (args.json === true) process.stdout.write(`${JSON.stringify(grant)}\n`);
    else process.stdout.write(`${escapeLine(`${grant.change.padEnd(8)}  ${row(grant).join("  ")}`)}\n`);
  }
  if (watch) return;
  process.stdout.write(
    args.json === true ? `${JSON.stringify(items, null, 2)}\n` : `${table(HEAD, items.map(row)).map(escapeLine).join("\n")}\n`,
  );
}

export function addGrantsCommand(program: Command): void {
  program
    .command("grants")
    .description("list open files, and mappings that outlive their open: path, layer, I/O mode, process, user, decision")
    .argument("<mountpoint>", MOUNT_ARGUMENT)
    .option("--json", "as JSON; with --watch one object per line")
    .option("--watch", "keep showing opens and closes, and opens that a policy change revokes or restores")
    .addOption(controlOption())
    .action(show);
}
