/** Parts of the demo that tests of the whole use too. The demo itself is main.ts, run by `npm start`. */
export {
  compareSnapshots,
  digestSnapshot,
  type Entry,
  type SnapshotOptions,
  primeAccessTimes,
  takeSnapshot,
  type TreeSnapshot,
} from "./tree-snapshot.js";
