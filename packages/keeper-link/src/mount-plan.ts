/** An ordinary user who had the mount made by a service. Whatever the keeper does for the mount, it does with these rights. */
export interface PlanCaller {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: readonly number[];
  places: GivenPlaces;
}

/**
 * Directories that the caller opened, as descriptors of the keeper's process. Nothing is reached by a path that the caller could lead
 * elsewhere; the paths of the plan are for people.
 */
export interface GivenPlaces {
  mountpoint: number;
  /** As many as the plan has lower layers. */
  lowers: readonly number[];
  /** A directory at or above both, the upper layer and the work directory; -1 for all three without an upper layer. */
  above: number;
  upper: number;
  work: number;
}

/** The plan of the privileged operations for one mount. The keeper needs no policy and no other option. */
export interface MountPlan {
  /** A real path. */
  mountpoint: string;
  /** First column of /proc/mounts. */
  source: string;
  /** The mount's type is fuse.SUBTYPE. */
  subtype: string;
  /** MS_ flags of mount(2); those of access times hold for the upper layer too. */
  flags: number;
  /** SELinux labels of the whole mount, as words for mount(2): `context="user:role:type:level"`. */
  labels?: readonly string[] | undefined;
  /** Every user may use the mount; otherwise only the owner. */
  allowOther: boolean;
  /** The owner of the mount; by default root. */
  owner?: { uid: number; gid: number } | undefined;
  /** Real paths, top first. */
  lowers: readonly string[];
  dataLowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  /** Identities of the layers that preflight checked, by path; undefined: the paths cannot lead elsewhere than before. */
  checked?: Readonly<Record<string, string>> | undefined;
  /** Nothing is synced, so the mount needs a witness of writeback errors. */
  volatile: boolean;
  caller?: PlanCaller | undefined;
}
