/** Messages that the server may send the kernel of its own accord (fuse_notify_code of 7.45). */
export const NotifyCode = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  RESEND: 7,
  INC_EPOCH: 8,
  PRUNE: 9,
} as const;

/** Flag of INVAL_ENTRY: the name lives on until it is used next. */
export const EXPIRE_ONLY = 1;
