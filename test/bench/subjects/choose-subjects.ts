/** Which subjects a run measures: those wanted that the machine has, and those passed over with the reason. */
import { BenchError } from "../bench-error.js";
import type { BenchOptions } from "../options.js";
import { kernelOverlaySubject, nativeSubject } from "./kernel.js";
import { binarySubject, fuseOverlayfsSubject, mergerfsSubject, passthroughHpSubject } from "./peers.js";
import { sluiceSubjects } from "./sluice.js";
import type { Subject } from "./subject.js";

export interface Choice {
  subjects: readonly Subject[];
  skipped: readonly { name: string; why: string }[];
}

/** @throws BenchError 2 for a name nobody has */
export function chooseSubjects(options: BenchOptions): Choice {
  const named = options.binaries.map(binarySubject);
  const others = [nativeSubject, kernelOverlaySubject, fuseOverlayfsSubject, mergerfsSubject, passthroughHpSubject];
  const all = [...others.filter(({ name }) => !named.some((own) => own.name === name)), ...named, ...sluiceSubjects];
  const names = all.map(({ name }) => name);
  const unknown = [...options.subjects, options.base].find((name) => !names.includes(name));
  if (unknown !== undefined) throw new BenchError(2, `${unknown}: no such subject: choose from ${names.join(", ")}`);
  const wanted = all.filter(({ name, onlyNamed }) =>
    options.subjects.length === 0 ? onlyNamed !== true : options.subjects.includes(name),
  );
  const judged = wanted.map((subject) => ({ subject, why: subject.missing() }));
  return {
    subjects: judged.flatMap(({ subject, why }) => (why === undefined ? [subject] : [])),
    skipped: judged.flatMap(({ subject, why }) => (why === undefined ? [] : [{ name: subject.name, why }])),
  };
}
