/** `sluice csi`: its options. */
import { LOG_LEVELS } from "@sluice/runtime/cli";
import type { CsiFlags } from "@sluice/service-csi";
import { type Command, Option } from "commander";
import { HOST_SOCKET } from "@sluice/host-api/socket";

const EXAMPLES = `
Examples:
  sluice serve &
  sluice csi --node-id worker-1 --config /etc/sluice/csi.yaml
  sluice csi --controller-only --endpoint unix:///csi/csi.sock      for external-provisioner: volumes of a StorageClass

The host service of the node has the mounts: they outlive the driver, and the next driver finds them. docs/kubernetes.md has the
configuration file and the attributes of volumes; deploy/k8s/chart is the Helm chart.
`;

export function addCsiCommand(program: Command): void {
  program
    .command("csi")
    .description("serve Kubernetes volumes that are Sluice mounts (Container Storage Interface)")
    .option("--endpoint <url>", "socket for the kubelet", "unix:///csi/csi.sock")
    .option("--node-id <name>", "name of this node")
    .option("--driver-name <name>", "name of the driver in StorageClasses and pods", "csi.sluice")
    .option("--config <file>", "sources, roots and policies that volumes may use (YAML)", "/etc/sluice/csi.yaml")
    .option("--host-service <path>", "socket of the host service ('sluice serve')", HOST_SOCKET)
    .option("--kubelet-dir <dir>", "directory of the kubelet, at the path that it has on the node", "/var/lib/kubelet")
    .option(
      "--state-dir <dir>",
      "directory for pinned sources and ephemeral space, at the path that it has on the node",
      "/var/lib/sluice/csi",
    )
    .option(
      "--service-account <dir>",
      "token and authority for the API of the cluster, which is asked about PersistentVolumeClaims that volumes name",
      "/var/run/secrets/kubernetes.io/serviceaccount",
    )
    .option("--controller-only", "serve only the calls of external-provisioner, which need no node and no privilege")
    .addOption(new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS).default("info"))
    .option("--log-file <file>", "log to a file instead of standard error")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: CsiFlags) => (await import("@sluice/service-csi")).serveCsi(flags));
}
