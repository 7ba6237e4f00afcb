/** Directory records as getdents64 gives them; re-exported here because only layer/ speaks to the addon. */
export { parseDirents } from "@sluice/native";
