/** Directory records as getdents64 gives them; re-exported here because only layer/ speaks to the addon. */
export { DirentCursor, parseDirents } from "@sluice/native";
