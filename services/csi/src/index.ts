/** The CSI driver: volumes of Kubernetes that are Sluice mounts, which a host service of the node makes and serves. */
export { type CsiFlags, serveCsi } from "./serve-csi.js";
/** For clients: the part of the Container Storage Interface that the driver serves. */
export * as csi from "./gen/csi/v1/csi.js";
