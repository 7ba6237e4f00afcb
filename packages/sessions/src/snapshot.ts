/**
 * A snapshot of the directory that a session works on, made of reflinks: the session does not see what others change in the directory later.
 * It lies in a layer, so that forks share it.
 */
import { type Hit, isRegular, LayerStack, LayerWriter, openTree, walkMerged } from "@sluice/layer-tools";
import { native, openBeneath } from "@sluice/native";
import { unfit } from "@sluice/runtime/cli";
import { errnoName, O } from "@sluice/vfs";
import { publishLayer } from "./layers.js";
import { below, makePrivate, type Place } from "./state-directory.js";

const PROBE = "probe";

/** @throws CliError, exit code 4, if the first file of the directory cannot be cloned into the layer */
function checkReflinks(stack: LayerStack, { fd }: Place, base: string): void {
  const file = firstFile(stack);
  if (file === undefined) return;
  const source = stack.openData(file);
  const target = openBeneath(fd, PROBE, O.WRONLY | O.CREAT, 0o600);
  const status = target < 0 ? target : native.ficlone(target, source);
  native.close(source);
  if (target >= 0) native.close(target);
  native.unlinkat(fd, PROBE, 0);
  if (status >= 0) return;
  throw unfit(
    base,
    `its files cannot be cloned into the session (${errnoName(-status)})`,
    "put the directory and XDG_STATE_HOME on one file system with reflinks (btrfs, XFS), or leave out --freeze",
  );
}

function firstFile(stack: LayerStack): Hit | undefined {
  for (const item of walkMerged(stack)) if (item.kind === "object" && isRegular(item.object.attr)) return item.data;
  return undefined;
}

/** Writes the layer `name`, which the record of the session names already. @throws CliError */
export async function writeSnapshot(name: string, base: string, userXattr: boolean): Promise<void> {
  const tree = openTree(base, userXattr);
  try {
    const stack = new LayerStack([tree]);
    await publishLayer(name, async (layer) => {
      checkReflinks(stack, layer, base);
      makePrivate(layer, "upper");
      const fd = openBeneath(layer.fd, "upper", O.RDONLY | O.DIRECTORY, 0);
      if (fd < 0) throw unfit(below(layer, "upper").path, `it cannot be opened (${errnoName(-fd)})`, "check its disk");
      await new LayerWriter(stack, fd).write(walkMerged(stack));
    });
  } finally {
    native.close(tree.fd);
  }
}
