export { IdMap, type IdMapping, type IdRange } from "./id-map.js";
export { IdMappedFilesystem } from "./id-mapped-filesystem.js";
