/** The capabilities of an engine and its limits, as data: for the choice, for refusals, and for the documentation. */

/** `why`: the reason for a limit, and its visible effect. One sentence or two. */
export type EngineCapability = { readonly has: true } | { readonly has: false; readonly why: string };

export type EngineCapabilityName =
  /** The kernel does the I/O of granted opens. */
  | "passthrough"
  /** uid, gid and pid of the caller. */
  | "callerIdentity"
  /** Cached names, attributes and pages can be dropped, and watchers told. */
  | "notifications"
  /** A caller that is interrupted stops waiting. */
  | "interrupt"
  | "inode64"
  | "nanosecondTimes"
  /** utimensat(2) with UTIME_OMIT. */
  | "singleTime"
  /** chown(2) that names neither owner nor group. */
  | "emptyChown"
  /** An open file without a name stays whole. */
  | "handleSurvivesUnlink"
  /** … also if its directory is removed after it. */
  | "handleSurvivesDirectory"
  /** A rename over an open file is one step on the layer: a crash leaves the one or the other. */
  | "atomicReplace"
  /** The names of one file are one inode to the kernel. */
  | "hardLinksShareInode"
  /** RENAME_NOREPLACE, EXCHANGE and WHITEOUT. */
  | "renameFlags"
  /** The access mode of an open that creates. */
  | "createFlags"
  | "fallocate"
  /** SEEK_HOLE and SEEK_DATA. */
  | "seekHole"
  | "copyFileRange"
  | "tmpfile"
  | "ioctl"
  | "syncfs"
  /** Access control lists are enforced. */
  | "posixAcl"
  /** Programs with setuid run as their owner, and device files work. */
  | "suidAndDevices"
  /** A write clears setuid, setgid and capabilities just as on the layers' file system. */
  | "clearsPrivileges"
  /** Names that are not UTF-8. */
  | "byteNames"
  /** Pages are cached, or not, as each open asks. */
  | "cachePerOpen"
  /** A privileged process that holds the mount while the server is exchanged. */
  | "keeper"
  | "upgrade";

export type EngineCapabilities = { readonly [K in EngineCapabilityName]: EngineCapability };
