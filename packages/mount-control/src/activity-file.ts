/** The form of the file of `--activity-file`: the opens and the denials of a mount, by program. Names are byte strings. */
export const ACTIVITY_KINDS = ["read", "written", "denied", "undecided"] as const;
/** "undecided": denied because no decision could be had, as in an outage. */
export type ActivityKind = (typeof ACTIVITY_KINDS)[number];

export interface ProgramActivity extends Record<ActivityKind, [path: string, count: number][]> {
  /** The path of the executable, or its name in brackets. */
  program: string;
}

export interface ActivityFile {
  version: 1;
  /** How often it was done, all paths together. */
  totals: Record<ActivityKind, number>;
  /** How many of these are in no list below, since the lists are bounded. */
  omitted: Record<ActivityKind, number>;
  programs: ProgramActivity[];
}
