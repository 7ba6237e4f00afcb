/** The differences of a session: with the record of its base, and with its applies. */
import { BaseRecords } from "@sluice/base-record";
import { LayerStack } from "@sluice/layer-tools";
import { native } from "@sluice/native";
import { openIn, type Place } from "./apply/place.js";
import { appliedStates } from "./apply/undo.js";
import type { OnProgress } from "./difference.js";
import { findMerges } from "./merge.js";
import { reviewLayers } from "./review.js";
import type { Differences } from "./walk-differences.js";

/** In the session's directory: the record that its mount writes. */
const RECORD = "base";

/** @throws CliError */
export function reviewPlace(place: Place, onProgress?: OnProgress): { stack: LayerStack; all: Differences } {
  const stack = new LayerStack([place.upper, place.base]);
  const record = openIn(place.directory.fd, RECORD);
  try {
    const records = new BaseRecords(record);
    const all = reviewLayers(stack, { applied: appliedStates(place), records }, onProgress);
    findMerges(stack, all.list, { records, directory: place.directory.path });
    return { stack, all };
  } finally {
    if (record !== undefined) native.close(record);
  }
}
