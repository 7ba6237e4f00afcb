/** A planned volume as the options of `sluice mount`. */
import { wire } from "@sluice/host-api";
import type { DecisionService, Pod, VolumePlan } from "../config/volume-plan.js";
import type { UpperLayer } from "./volume-directory.js";

/** The kubelet unpublishes a volume after the last container of the pod has ended. */
const GRACE = "5s";

function option(name: string, ...values: (string | number | undefined)[]): wire.MountOption[] {
  const given = values.filter((value) => value !== undefined).map(String);
  return given.length === 0 ? [] : [{ name, values: given }];
}

function decisionOptions(service: DecisionService | undefined): wire.MountOption[] {
  if (service === undefined) return [];
  return [
    ...option("decision", service.target),
    ...option("decision-ca", service.ca),
    ...option("decision-cert", service.cert),
    ...option("decision-key", service.key),
    ...option("decision-server-san", service.serverSan),
  ];
}

/** Facts about the pod for policies, as `resource.label['pod.namespace']`. The author of a pod has no say in them: the kubelet states them. */
function podLabels({ pod }: VolumePlan): string[] {
  const labels = { namespace: pod.namespace, name: pod.name, uid: pod.uid, serviceAccount: pod.serviceAccount };
  return Object.entries(labels).map(([name, value]) => `pod.${name}=${value}`);
}

/** The name of a volume in policies, logs and metrics. */
export function volumeName(pod: Pod, volume: string): string {
  return `${pod.namespace}/${pod.name}/${volume}`;
}

export interface PlacedVolume {
  mountpoint: string;
  name: string;
  lowers: readonly string[];
  layers: UpperLayer | undefined;
  readOnly: boolean;
  /** The driver's directory of the volume, in which all layers lie, if a pod can change what is on the way to one. */
  beneath: string | undefined;
}

export function mountSpec(plan: VolumePlan, { mountpoint, name, lowers, layers, readOnly, beneath }: PlacedVolume): wire.MountSpec {
  const words = [...plan.options, ...(readOnly ? ["ro"] : [])];
  return {
    mountpoint,
    directory: "/",
    attached: false,
    abandonedAtEnd: false,
    mountNamespace: 0,
    options: [
      ...option("lower", ...lowers),
      ...option("upper", layers?.upper),
      ...option("work", layers?.work),
      ...option("layers-beneath", beneath),
      ...option("options", words.join(",")),
      ...option("name", name),
      ...option("label", ...podLabels(plan)),
      ...option("grace", GRACE),
      ...option("policy", plan.policyFile),
      ...decisionOptions(plan.decision),
      ...option("on-outage", plan.onOutage),
      ...option("max-stack-depth", plan.maxStackDepth),
    ],
  };
}
