/** What is done with privilege for one mount: everything the keeper needs to know, and nothing of policies or options. */
export interface MountPlan {
  /** A real path. */
  mountpoint: string;
  /** First column of /proc/mounts. */
  source: string;
  /** The type shows as fuse.SUBTYPE. */
  subtype: string;
  /** MS_ flags of mount(2); those of access times hold for the upper layer too. */
  flags: number;
  /** SELinux labels of the whole mount, as words for mount(2): `context="user:role:type:level"`. */
  labels?: readonly string[] | undefined;
  /** Every user may come; else only the owner. */
  allowOther: boolean;
  /** Whom the mount is for; root where it is absent. */
  owner?: { uid: number; gid: number } | undefined;
  /** Real paths, top first. */
  lowers: readonly string[];
  dataLowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  /** Nothing is synced, so somebody has to notice what could not be written. */
  volatile: boolean;
}
