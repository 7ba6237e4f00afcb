/** What to try with a mount that was left up: commands with this run's paths. */
import { FILES, type DemoPaths, SECRET } from "./demo-paths.js";

const quote = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

export function formatKeepHints(paths: DemoPaths, pid: number | undefined): string {
  const mount = quote(paths.mountPoint);
  const lower = `${quote(paths.lowerData)}:${quote(paths.lowerTree)}`;
  return `
The mount is still up (process ${pid ?? "unknown"}, log ${paths.log}). What to try, from the root of the repository:

  ls -l ${mount}
  cat ${mount}/project/.gitignore
  cat ${mount}/${SECRET}                        # denied: EACCES
  getfattr -n user.sluice.layer --only-values ${mount}/${FILES.large.path}
  sleep 60 <${mount}/${FILES.large.path} &      # an open to look at
  getfattr -n user.sluice.mode --only-values ${mount}/${FILES.large.path}
  npx sluice status ${mount}
  npx sluice grants ${mount}
  npx sluice diff ${mount}
  $EDITOR ${quote(paths.policy)}               # takes effect at the next open

When you have seen enough:

  npx sluice unmount ${mount}
  mount -t overlay overlay -o ro,lowerdir=${lower},upperdir=${quote(paths.upper)},workdir=${quote(paths.kernelWork)},redirect_dir=follow ${quote(paths.kernelMount)}
  ls ${quote(paths.kernelMount)}                                  # the same tree, by kernel overlayfs
  umount ${quote(paths.kernelMount)}; rm -r --one-file-system ${quote(paths.scratch)}
`;
}
