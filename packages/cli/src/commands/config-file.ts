/**
 * `sluice mount --config FILE`: the options of the command line as keys of a YAML file. Command-line options and environment variables
 * override the file.
 */
import { readFileSync } from "node:fs";
import { didYouMean } from "@sluice/decision-api";
import { CliError, codeOf, wrong } from "@sluice/runtime/cli";
import type { Command, Option } from "commander";
import { isFlag, keyOf, LISTS, OPTION_STRINGS } from "./mount-options.js";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";

const MOUNTPOINT = "mountpoint";
const NOT_IN_FILES: ReadonlySet<string> = new Set(["config", "help"]);

interface Entry {
  key: string;
  value: unknown;
  /** "FILE:LINE:COLUMN". */
  place: string;
}

export interface ConfigFile {
  mountpoint: string | undefined;
  /** "--on-outage" → its place in the file: "FILE:LINE:COLUMN: on-outage". */
  places: ReadonlyMap<string, string>;
}

function bytesOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw wrong(file, `the configuration cannot be read (${codeOf(error)})`, "check its name and permissions");
  }
}

/** A byte that is not UTF-8 is refused: replaced by U+FFFD, the name of a directory would be another one. */
function textOf(file: string): string {
  const bytes = bytesOf(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const again = Buffer.from(bytes.toString("utf8"), "utf8");
    const before = bytes
      .subarray(
        0,
        bytes.findIndex((byte, index) => byte !== again[index]),
      )
      .toString("utf8");
    const start = before.lastIndexOf("\n") + 1;
    throw wrong(`${file}:${before.split("\n").length}:${before.length - start + 1}`, "it is not UTF-8", "save it as UTF-8");
  }
}

function entriesOf(file: string): Entry[] {
  const lines = new LineCounter();
  const document = parseDocument(textOf(file), { lineCounter: lines, prettyErrors: false });
  const at = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${line}:${col}`;
  };
  const [mistake] = document.errors;
  if (mistake !== undefined) throw wrong(at(mistake.pos[0]), `this is not YAML: ${mistake.message}`, "repair the line");
  const { contents } = document;
  if (contents === null) return [];
  if (!isMap(contents))
    throw wrong(at(contents.range?.[0]), "it is not a mapping of keys to values", "write one option per line: key: value");
  return contents.items.map(({ key, value }) => {
    if (!isScalar(key)) throw wrong(at(contents.range?.[0]), "a key is not a name", "write one option per line: key: value");
    const plain: unknown = value === null || typeof value !== "object" ? value : (value as { toJSON(): unknown }).toJSON();
    const place = at(key.range?.[0]);
    // An escape such as "\ud800".
    if ([plain].flat().some((item) => typeof item === "string" && /\p{Surrogate}/u.test(item)))
      throw wrong(`${place}: ${String(key.value)}`, "it holds half of a character", "write the whole character");
    return { key: String(key.value), value: plain, place };
  });
}

const isText = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number";
/** An item names one directory, whatever characters its name has. */
const escaped = (directory: string): string => directory.replace(/[\\:]/g, "\\$&");

function listOf({ key, value, place }: Entry): string[] {
  if (isText(value)) return [String(value)];
  if (!Array.isArray(value) || !value.every(isText))
    throw wrong(`${place}: ${key}`, "it is not a list of names", "write it as [one, other]");
  return value.map((item) => (key === OPTION_STRINGS ? String(item) : escaped(String(item))));
}

function valueOf(entry: Entry, option: Option): unknown {
  const { key, value, place } = entry;
  if (LISTS.has(key)) return listOf(entry);
  if (isFlag(option)) {
    if (typeof value !== "boolean") throw wrong(`${place}: ${key}`, "it is neither true nor false", "write true or false");
    return value;
  }
  if (!isText(value))
    throw wrong(`${place}: ${key}`, "its value is neither text nor a number", "write the value that would follow the option");
  return String(value);
}

/** Sets the command's options from the file. @throws CliError, exit code 2, with file, line and key */
export function applyConfigFile(file: string, command: Command): ConfigFile {
  const known = new Map(command.options.map((option) => [keyOf(option), option]));
  const places = new Map<string, string>();
  let mountpoint: string | undefined;
  for (const entry of entriesOf(file)) {
    const { key, value, place } = entry;
    const option = NOT_IN_FILES.has(key) ? undefined : known.get(key);
    if (key === MOUNTPOINT) {
      if (!isText(value)) throw wrong(`${place}: ${key}`, "its value is not a name", "name an empty directory");
      mountpoint = String(value);
    } else if (option === undefined) {
      const names = [MOUNTPOINT, ...known.keys()].filter((name) => !NOT_IN_FILES.has(name));
      const near = didYouMean(key, names);
      const remedy = near === undefined ? `use one of ${names.sort().join(", ")}` : `did you mean '${near}'?`;
      throw wrong(`${place}: ${key}`, "unknown mount option", remedy);
    } else {
      const set = valueOf(entry, option);
      const source = command.getOptionValueSource(option.attributeName());
      if (source !== undefined && source !== "default") continue;
      command.setOptionValueWithSource(option.attributeName(), set, "config");
      places.set(key === OPTION_STRINGS ? "-o" : `--${key}`, `${place}: ${key}`);
    }
  }
  return { mountpoint, places };
}

/** An error about an option from the file names its place there. */
export function placed(error: unknown, { places }: ConfigFile): unknown {
  const place = error instanceof CliError ? places.get(error.object) : undefined;
  if (!(error instanceof CliError) || place === undefined) return error;
  const { problem, remedy, exitCode } = error;
  return new CliError({ object: place, problem, remedy, exitCode }, { cause: error });
}
