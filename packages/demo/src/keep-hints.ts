/** What to try with a mount that was left up: commands with this run's paths. */
import { FILES, type Places, SECRET } from "./demo-paths.js";

const quote = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

export function formatKeepHints(places: Places, pid: number | undefined): string {
  const mount = quote(places.mountPoint);
  const lower = `${quote(places.lowerData)}:${quote(places.lowerTree)}`;
  return `
The mount is still up (process ${pid ?? "unknown"}, log ${places.log}). What to try, from the root of the repository:

  ls -l ${mount}
  cat ${mount}/project/.gitignore
  cat ${mount}/${SECRET}                        # denied: EACCES
  getfattr -n user.sluice.layer --only-values ${mount}/${FILES.large.path}
  sleep 60 <${mount}/${FILES.large.path} &      # an open to look at
  getfattr -n user.sluice.mode --only-values ${mount}/${FILES.large.path}
  npx sluice status ${mount}
  npx sluice grants ${mount}
  npx sluice diff ${mount}
  $EDITOR ${quote(places.policy)}               # takes effect at the next open

When you have seen enough:

  npx sluice unmount ${mount}
  mount -t overlay overlay -o ro,lowerdir=${lower},upperdir=${quote(places.upper)},workdir=${quote(places.kernelWork)},redirect_dir=follow ${quote(places.kernelMount)}
  ls ${quote(places.kernelMount)}                                  # the same tree, by kernel overlayfs
  umount ${quote(places.kernelMount)}; rm -r --one-file-system ${quote(places.scratch)}
`;
}
