/** The text of `sluice` without arguments: a newcomer's first commands. `sluice --help` has all of them. */
import { VERSION } from "@sluice/runtime/cli";

export const FIRST_STEPS = `sluice ${VERSION}: an overlay filesystem in which a policy decides, per open, how I/O flows

Try:
  sluice doctor                              check this machine
  sluice run -- bash                         work on a copy-on-write view of this directory
  sluice policy init agent                   write a policy to start from
  sluice mount --lower DIR --policy policy.yaml MOUNTPOINT
                                             mount a directory, read-only, with that policy
  sluice --help                              list every command
`;
