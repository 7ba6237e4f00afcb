/** The lower layers that every subject of a run shares: a base, and a layer above it that overrides a tenth of the tree. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../machine/run-command.js";
import type { Tree } from "../subjects/session.js";
import { assetsBelow, sourceText } from "./assets.js";
import { runLoad } from "./load-generator.js";
import type { Bench } from "./phase.js";
import { FILES_A_DIRECTORY, LARGE_FILES } from "./sizes.js";

async function plantFiles(bench: Bench, directory: string, files: number, sizeBytes: number): Promise<void> {
  mkdirSync(directory, { recursive: true });
  await runLoad(bench.load, "plant", { directory, files, sizeBytes });
}

function plantOverrides(top: string, files: number): void {
  const digits = (value: number, width: number): string => String(value).padStart(width, "0");
  for (let index = 0; index < files; index += 10) {
    const directory = join(top, "tree", `d${digits(Math.floor(index / FILES_A_DIRECTORY), 3)}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `f${digits(index, 5)}`), "y".repeat(4096));
  }
}

/** A large file for each round that has one: one with several names would be one inode to some subjects, copied up once for all. */
async function plantLarge(base: string, { sizes }: Bench): Promise<void> {
  mkdirSync(join(base, "big"));
  for (let round = 0; round < LARGE_FILES; round++) {
    const args = ["if=/dev/urandom", `of=${join(base, "big", `r${round}`)}`, "bs=1M", `count=${sizes.largeMb}`, "status=none"];
    await runCommand("dd", args);
  }
}

export async function plantBuild(base: string, files: number): Promise<void> {
  const folder = join(base, "build");
  mkdirSync(folder);
  const names = Array.from({ length: files }, (_, index) => `unit${index}`);
  for (const [index, name] of names.entries()) {
    writeFileSync(join(folder, `${name}.c`), `#include <stdio.h>\n#include "all.h"\n${sourceText(index).replaceAll("static ", "")}`);
  }
  writeFileSync(join(folder, "all.h"), "#pragma once\n#include <stdlib.h>\n#include <string.h>\n");
  const rules = ["OBJECTS = " + names.map((name) => `$(OUT)/${name}.o`).join(" "), "all: $(OBJECTS)", "$(OUT)/%.o: %.c all.h"];
  writeFileSync(join(folder, "Makefile"), `${rules.join("\n")}\n\tcc -O0 -w -c -o $@ $<\n`);
}

async function plantModules(base: string, bench: Bench): Promise<void> {
  const folder = join(base, "modules", "storm");
  mkdirSync(folder, { recursive: true });
  const names = Array.from({ length: bench.sizes.modules }, (_, index) => `part${index}`);
  for (const name of names) writeFileSync(join(folder, `${name}.py`), `def answer():\n    return "${name}"\n`);
  writeFileSync(join(folder, "__init__.py"), `${names.map((name) => `from storm import ${name}`).join("\n")}\n`);
  // With the compiled form in place, as installed packages have it.
  await runCommand(assetsBelow(bench.storage).python(), ["-m", "compileall", "-q", folder]).catch(() => undefined);
}

function plantData(base: string, dataMb: number): Promise<unknown> {
  mkdirSync(join(base, "data"));
  const args = ["if=/dev/urandom", `of=${join(base, "data", "read.bin")}`, "bs=1M", `count=${dataMb}`, "status=none"];
  return runCommand("dd", args);
}

async function plantSearch(base: string, bench: Bench): Promise<void> {
  await plantFiles(bench, join(base, "search"), bench.sizes.searchFiles, 1024);
  writeFileSync(join(base, "search", "needle.txt"), "a needle in it\n");
}

/** `programs`: those that phases call. */
export async function plantTree(bench: Bench, programs: ReadonlySet<string>): Promise<Tree> {
  const { sizes, storage, roundsInAll } = bench;
  const [base, top] = [join(storage.layers, "base"), join(storage.layers, "top")];
  for (const folder of [join(base, "scratch"), top]) mkdirSync(folder, { recursive: true });
  await plantFiles(bench, join(base, "tree"), sizes.treeFiles, 4096);
  plantOverrides(top, sizes.treeFiles);
  for (const folder of ["copy-up", "whiteout"]) {
    await plantFiles(bench, join(base, "once", folder), sizes.changeFiles * roundsInAll, 4096);
  }
  await plantLarge(base, bench);
  await plantData(base, sizes.dataMb);
  await plantSearch(base, bench);
  await plantBuild(base, sizes.buildFiles);
  // Without Python the phase is passed over anyway.
  if (programs.has("python3")) await plantModules(base, bench);
  return { lowers: [top, base], notForMirrors: ["big", "once"] };
}
