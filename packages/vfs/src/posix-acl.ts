/** The extended attribute of an access control list: struct posix_acl_xattr_header, then posix_acl_xattr_entry each, little-endian. */
export const ACL = { HEADER_BYTES: 4, ENTRY_BYTES: 8, /** Within an entry; its tag comes first. */ PERMISSIONS_AT: 2, ID_AT: 4 } as const;
/** Tags of entries. USER and GROUP name one. */
export const ACL_TAG = { OWNER: 0x01, USER: 0x02, OWNING_GROUP: 0x04, GROUP: 0x08, MASK: 0x10, OTHER: 0x20 } as const;
export const ACCESS_ACL = "system.posix_acl_access";
export const DEFAULT_ACL = "system.posix_acl_default";
