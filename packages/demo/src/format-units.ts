/** Numbers as people read them. */

const GIB = 1024 ** 3;

/** 1536 MiB is "1.50 GiB"; below a GiB whole MiB. */
export function formatBytes(bytes: number): string {
  return bytes >= GIB ? `${(bytes / GIB).toFixed(2).replace(/\.?0+$/, "")} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
}

/** Bytes a second: "5.12 GB/s", "812 MB/s". */
export function formatRate(bytesPerSecond: number): string {
  return bytesPerSecond >= 1e9 ? `${(bytesPerSecond / 1e9).toFixed(2)} GB/s` : `${Math.round(bytesPerSecond / 1e6)} MB/s`;
}

/** 12345 is "12,345". */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}
