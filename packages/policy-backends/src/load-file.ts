/**
 * A policy file of any kind → a policy. `version: 1` and rules are compiled at once; a file with `kind:` configures another
 * engine, which is made in the background. Nothing of a policy that does not check is left behind.
 */
import { basename, dirname, resolve } from "node:path";
import { didYouMean, type PolicyCapabilities, type PolicyRevision } from "@sluice/decision-api";
import { isCollection } from "yaml";
import type { z } from "zod";
import { FileReader, MAX_POLICY_BYTES } from "./document/file-reader.js";
import { OWN_DISK, type PolicyDisk } from "./document/policy-disk.js";
import { DeliveredFiles, type PolicyFiles, sha256, UnreadableFile } from "./document/policy-files.js";
import { NOT_UTF8, utf8Text } from "./document/utf8-text.js";
import { type DocumentWords, MAX_YAML_BYTES, type ParsedYaml, parseYaml, validateYaml, type WhenEmpty } from "./document/yaml-document.js";
import { findKind, kindNames } from "./kinds.js";
import {
  type BackendEvents,
  type Engine,
  type LoadContext,
  type LoadedPolicy,
  type NamedEngine,
  NO_BACKEND_EVENTS,
  type PolicyIdentity,
  type PolicyKind,
} from "./policy-kind.js";
import { withHiddenNames } from "./hidden-names.js";
import { checkAside } from "./rules/check-aside.js";
import { checkRules, rulesEngine } from "./rules/load-policy.js";
import { PolicyError, WHOLE_FILE } from "./rules/problem.js";
import { policyLocation } from "./source/policy-location.js";

/** The state of loading: most policies are there at once. */
export type Load = { state: "done"; loaded: LoadedPolicy } | { state: "later"; finish: () => Promise<LoadedPolicy> };

/** Configurations that name configurations. */
const MAX_DEPTH = 8;

function mistake(file: string, position: { line: number; column: number }, message: string, remedy: string): PolicyError {
  return new PolicyError(file, [{ severity: "error", ...position, message, remedy }]);
}

function readBytes(reader: PolicyFiles, file: string): Buffer {
  try {
    return reader.read(file, MAX_YAML_BYTES);
  } catch (cause) {
    if (cause instanceof UnreadableFile) throw mistake(file, WHOLE_FILE, cause.problem, cause.remedy);
    throw cause;
  }
}

function textOf(bytes: Buffer, file: string): string {
  const read = utf8Text(bytes);
  if (!read.ok) throw mistake(file, read.position, NOT_UTF8.message, NOT_UTF8.remedy);
  return read.text;
}

const readText = (reader: PolicyFiles, file: string): string => textOf(readBytes(reader, file), file);

function parse(text: string, file: string, whenEmpty?: WhenEmpty): ParsedYaml {
  const parsed = parseYaml(text, whenEmpty);
  if (!parsed.ok) throw new PolicyError(file, parsed.problems);
  return parsed.result;
}

function kindOf({ value }: ParsedYaml): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as { kind?: unknown }).kind : undefined;
}

interface DocumentOrigin {
  file: string;
  reader: PolicyFiles;
  events: BackendEvents;
  depth: number;
}

/** A part of a document as a document of its own, whose places are those of the whole. */
function partOf(parsed: ParsedYaml, path: readonly PropertyKey[], value: unknown): ParsedYaml {
  const contents = isCollection(parsed.contents) ? (parsed.contents.getIn(path, true) as ParsedYaml["contents"]) : null;
  return { ...parsed, contents, value, locate: (below, offset) => parsed.locate([...path, ...below], offset) };
}

/** The files that a document names. */
function filesOf(
  locate: ParsedYaml["locate"],
  { file, reader }: DocumentOrigin,
): Pick<LoadContext, "resolve" | "problem" | "read" | "readText"> {
  const problem = (path: readonly PropertyKey[], message: string, remedy: string): PolicyError =>
    mistake(file, locate(path), message, remedy);
  const fromHere = (name: string): string => resolve(dirname(file), name);
  const read: LoadContext["read"] = (name, path, maxBytes = MAX_POLICY_BYTES) => {
    try {
      return reader.read(fromHere(name), maxBytes);
    } catch (error) {
      if (error instanceof UnreadableFile) throw problem(path, `'${name}': ${error.problem}`, error.remedy);
      throw error;
    }
  };
  return { resolve: fromHere, problem, read, readText: (name, path) => textOf(read(name, path), fromHere(name)) };
}

/** How an engine gets at what the document names. */
export function loadContext(parsed: ParsedYaml, origin: DocumentOrigin): LoadContext {
  const { file, reader, events, depth } = origin;
  const files = filesOf(parsed.locate, origin);
  const { problem, resolve: fromHere } = files;
  return {
    file,
    id: basename(file),
    events,
    ...files,
    async loadDelivered(delivered, entry) {
      if (depth >= MAX_DEPTH) throw problem([], `policies name policies more than ${MAX_DEPTH} deep`, "let none name itself");
      const source: Source = { file: `/${entry}`, reader: new DeliveredFiles(delivered), events, depth: depth + 1, busy: true };
      const load = beginLoad(source);
      return load.state === "done" ? load.loaded : load.finish();
    },
    async loadPart(part, path): Promise<NamedEngine> {
      if (depth >= MAX_DEPTH) throw problem(path, `policies name policies more than ${MAX_DEPTH} deep`, "let none name itself");
      if (typeof part !== "string") return loadParsed(partOf(parsed, path, part), { ...origin, depth: depth + 1 });
      const partFile = fromHere(part);
      return {
        ...(await loadParsed(parse(readText(reader, partFile), partFile), { ...origin, file: partFile, depth: depth + 1 })),
        name: basename(part),
      };
    },
  };
}

function kindFor(parsed: ParsedYaml, file: string): PolicyKind | undefined {
  const name = kindOf(parsed);
  if (name === undefined || name === "rules") return undefined;
  const kind = typeof name === "string" ? findKind(name) : undefined;
  if (kind !== undefined) return kind;
  const near = typeof name === "string" ? didYouMean(name, kindNames()) : undefined;
  const remedy = near === undefined ? `write one of ${kindNames().join(", ")}` : `did you mean '${near}'?`;
  throw mistake(
    file,
    parsed.locate(["kind"]),
    `'${(typeof name === "string" ? name : JSON.stringify(name)).slice(0, 40)}' is no kind of policy`,
    remedy,
  );
}

function checkedOptions(parsed: ParsedYaml, kind: PolicyKind, file: string): never {
  const checked = validateYaml(parsed, kind.schema, kind.words);
  if (!checked.ok) throw new PolicyError(file, checked.problems);
  return checked.result;
}

/** A configuration that is no policy, read as one is. Throws `PolicyError`. */
export function openDocument<Document>(
  file: string,
  schema: z.ZodType<Document>,
  words: DocumentWords,
  reader: PolicyFiles,
): { document: Document; context: LoadContext } {
  const remedy = `write ${words.keysAt([]).join(", ")}`;
  const parsed = parse(readText(reader, file), file, { message: "the file is empty", remedy });
  const checked = validateYaml(parsed, schema, words);
  if (!checked.ok) throw new PolicyError(file, checked.problems);
  return { document: checked.result, context: loadContext(parsed, { file, reader, events: NO_BACKEND_EVENTS, depth: 0 }) };
}

async function loadParsed(parsed: ParsedYaml, origin: DocumentOrigin): Promise<NamedEngine> {
  const kind = kindFor(parsed, origin.file);
  const { file } = origin;
  if (kind === undefined)
    return { name: "rules", file, engine: rulesEngine(checkRules(parsed, origin.file), filesOf(parsed.locate, origin)) };
  const engine = await kind.load(checkedOptions(parsed, kind, origin.file), loadContext(parsed, origin));
  return { name: kind.name, file, engine };
}

function revisionOf(engine: Engine, { sequence, digest }: PolicyIdentity): PolicyRevision {
  const delivered = engine.deliveredRevision?.();
  if (delivered !== undefined) return delivered;
  const remote = engine.remoteRevision?.();
  return { sequence, digest: remote === undefined ? digest : sha256(`${digest}\n${remote}`) };
}

/** Of an engine that does not say more. */
function summaryOf({ ruleCount }: Engine, kind: string): string {
  return ruleCount === 0 ? kind : `${kind}, ${ruleCount} ${ruleCount === 1 ? "rule" : "rules"}`;
}

/** The policy of an engine as it is now; of one that lives elsewhere it changes, and a new one is made. */
export function policyOf(engine: Engine, identity: PolicyIdentity): LoadedPolicy {
  const { kind, id } = identity;
  const revision = revisionOf(engine, identity);
  const { looksAt, evaluate } = withHiddenNames(engine);
  const capabilities: PolicyCapabilities = {
    revision,
    policyId: id,
    unconditionalGrant: false,
    summary: summaryOf(engine, kind),
    ...looksAt,
  };
  const policy = { id, revision, capabilities, evaluate };
  return { kind, policy, warnings: engine.warnings, ruleCount: engine.ruleCount, engine, base: identity };
}

/** A larger file is read aside while others are being answered. */
const MAX_AT_ONCE = 64 * 1024;

interface Source extends DocumentOrigin {
  /** Others are being answered meanwhile: nothing that takes long may be done at once. */
  busy: boolean;
}

function finished({ file, reader }: Source, kind: string, engine: Engine, revision: number | undefined): LoadedPolicy {
  return policyOf(engine, { kind, id: basename(file), sequence: BigInt(revision ?? 0), digest: reader.digest() });
}

interface ReadRules {
  parsed: ParsedYaml;
  checked: ReturnType<typeof checkRules>;
}

/**
 * The last policies of rules that were loaded, by their text. Sessions and mounts have the same few, and reading one takes ten times as long
 * as the rest of its loading. Nothing in them changes, and files that they name are read again.
 */
const lastRules = new Map<string, ReadRules>();
/** Of all their texts. The result of reading one takes some hundred times its memory. */
const MOST_CHARACTERS = 32 * 1024;

function remember(text: string, read: ReadRules): void {
  lastRules.delete(text);
  if (text.length > MOST_CHARACTERS) return;
  lastRules.set(text, read);
  let characters = 0;
  for (const known of lastRules.keys()) characters += known.length;
  for (const oldest of lastRules.keys()) {
    if (characters <= MOST_CHARACTERS) return;
    characters -= oldest.length;
    lastRules.delete(oldest);
  }
}

function loadText(text: string, source: Source): Load {
  const { file } = source;
  const known = lastRules.get(text);
  const parsed = known?.parsed ?? parse(text, file);
  const kind = known === undefined ? kindFor(parsed, file) : undefined;
  if (kind === undefined) {
    const checked = known?.checked ?? checkRules(parsed, file);
    remember(text, { parsed, checked });
    const engine = rulesEngine(checked, filesOf(parsed.locate, source));
    return { state: "done", loaded: finished(source, "rules", engine, checked.document.revision) };
  }
  const options = checkedOptions(parsed, kind, file) as { revision?: number };
  const engine = (): Promise<Engine> => kind.load(options as never, loadContext(parsed, source));
  return { state: "later", finish: async () => finished(source, kind.name, await engine(), options.revision) };
}

async function loadAside(text: string, source: Source): Promise<LoadedPolicy> {
  const checked = await checkAside(text, source.file);
  if (checked !== undefined) {
    const engine = rulesEngine(
      checked,
      filesOf(() => ({ line: 1, column: 1 }), source),
    );
    return finished(source, "rules", engine, checked.document.revision);
  }
  const load = loadText(text, source);
  return load.state === "done" ? load.loaded : load.finish();
}

/** Throws `PolicyError` if that shows at once; `finish` rejects with it. `reader` is new, and tells which files were read. */
export function beginLoad(source: Source): Load {
  const text = readText(source.reader, source.file);
  if (source.busy && text.length > MAX_AT_ONCE) return { state: "later", finish: () => loadAside(text, source) };
  return loadText(text, source);
}

/** Both in one, of a file or of a directory with one. Rejects with `PolicyError`. */
export async function loadPolicyFile(file: string, events: BackendEvents, disk: PolicyDisk = OWN_DISK): Promise<LoadedPolicy> {
  return loadLocated(policyLocation(file, disk).locate(), events, new FileReader(disk));
}

/** Of a file alone. `reader` is new. */
export async function loadLocated(file: string, events: BackendEvents, reader: FileReader): Promise<LoadedPolicy> {
  const load = beginLoad({ file, reader, events, depth: 0, busy: false });
  return load.state === "done" ? load.loaded : load.finish();
}
