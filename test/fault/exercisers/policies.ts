/** The policies that every exerciser runs under: each way of I/O alone, and both at once on the same files. */
export const POLICIES = {
  granted: "version: 1\ndefault: grant\n",
  mediated: "version: 1\ndefault: mediate\n",
  "mixed: readers mediated": 'version: 1\ndefault: grant\nrules:\n  - { name: readers, path: "**", access: [read], effect: mediate }\n',
  "mixed: by user and access":
    "version: 1\ndefault: mediate\nrules:\n" +
    '  - { name: user, path: "**", subject: { uid: [1000] }, effect: mediate }\n' +
    '  - { name: readers, path: "**", access: [read], effect: grant }\n',
} as const;

/** The seed of each run; SLUICE_SEED repeats a run. */
export function chooseSeed(): number {
  const given = Number(process.env["SLUICE_SEED"]);
  const seed = Number.isSafeInteger(given) && given > 0 ? given : Math.floor(Math.random() * 1_000_000_000) + 1;
  process.stdout.write(`SLUICE_SEED=${seed}\n`);
  return seed;
}
