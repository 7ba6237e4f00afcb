/** Objects of Kubernetes as data: valid by the schemas of its API, and pods by the level restricted of Pod Security. */
import * as models from "kubernetes-models";

export interface Container {
  name: string;
  image: string;
  args?: string[];
  volumeMounts?: { name: string; mountPath: string; mountPropagation?: string }[];
  securityContext?: {
    privileged?: boolean;
    allowPrivilegeEscalation?: boolean;
    runAsUser?: number;
    capabilities?: { drop?: string[]; add?: string[] };
  };
}
export interface PodSpec {
  serviceAccountName?: string;
  hostPID?: boolean;
  hostNetwork?: boolean;
  hostIPC?: boolean;
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; seccompProfile?: { type: string } };
  containers: Container[];
  volumes?: { name: string; configMap?: { name: string }; [kind: string]: unknown }[];
}
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  spec?: { selector?: { matchLabels?: object }; template?: { metadata?: { labels?: object }; spec: PodSpec }; [field: string]: unknown };
  data?: Record<string, string>;
}

export function podsOf({ kind, spec }: Manifest): PodSpec[] {
  if (kind === "Pod") return [spec as unknown as PodSpec];
  return spec?.template === undefined ? [] : [spec.template.spec];
}

type ModelClass = { new (data: object): { validate(): void }; apiVersion: string; kind: string };

/** Every class of the package, by version and kind: it exports them in nested namespaces. */
function collect(from: object, into: Map<string, ModelClass>): Map<string, ModelClass> {
  for (const value of Object.values(from) as unknown[]) {
    if (typeof value === "function" && "apiVersion" in value && "kind" in value) {
      const model = value as unknown as ModelClass;
      into.set(`${model.apiVersion}/${model.kind}`, model);
    } else if (typeof value === "object" && value !== null) collect(value, into);
  }
  return into;
}
const MODELS = collect(models, new Map());

/** Kinds of operators, of which the package has no schema. */
const FOREIGN = ["cert-manager.io/v1/Certificate", "monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PodMonitor"];

/** Objects that note which of their fields were read: the compiled schemas read every field that they know. */
class Watched {
  readonly #unread = new Set<string>();

  of(value: object, path: string): object {
    for (const key of Object.keys(value)) this.#unread.add(`${path}/${key}`);
    return new Proxy(value, {
      get: (target, key) => {
        const at = `${path}/${String(key)}`;
        this.#unread.delete(at);
        const field = Reflect.get(target, key) as unknown;
        return typeof field === "object" && field !== null && typeof key === "string" ? this.of(field, at) : field;
      },
    });
  }

  get unread(): string[] {
    return [...this.#unread];
  }
}

/** The faults that an API server would name, in words. */
export function objectFaults(object: Manifest): string[] {
  const id = `${object.apiVersion}/${object.kind}`;
  if (FOREIGN.includes(id)) return [];
  const model = MODELS.get(id);
  if (model === undefined) return [`${id}: no such kind`];
  const watched = new Watched();
  const checked = new model({ ...object });
  try {
    checked.validate();
    // The constructor copies, and so reads, all fields.
    for (const [key, value] of Object.entries(object))
      if (typeof value === "object") Object.assign(checked, { [key]: watched.of(value as object, `/${key}`) });
    checked.validate();
  } catch (error) {
    return [`${id} ${object.metadata.name}: ${String(error)}`];
  }
  return watched.unread.map((path) => `${path}: unknown`);
}

/** Kinds of volumes that the level restricted allows. */
const VOLUMES = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

function containerFaults({ name, securityContext = {} }: Container): string[] {
  const { privileged, allowPrivilegeEscalation, capabilities } = securityContext;
  return [
    ...(privileged === true ? [`${name}: it is privileged`] : []),
    ...(allowPrivilegeEscalation === false ? [] : [`${name}: it may gain privilege`]),
    ...(capabilities?.drop?.includes("ALL") === true && (capabilities.add ?? []).every((added) => added === "NET_BIND_SERVICE")
      ? []
      : [`${name}: it keeps capabilities`]),
  ];
}

/** Pod Security Standards, level restricted (kubernetes.io/docs/concepts/security/pod-security-standards). */
export function restrictedFaults({ securityContext = {}, containers, volumes = [], hostPID, hostNetwork, hostIPC }: PodSpec): string[] {
  const strange = volumes.filter((volume) => !Object.keys(volume).every((key) => key === "name" || VOLUMES.includes(key)));
  return [
    ...([hostPID, hostNetwork, hostIPC].includes(true) ? ["it shares a namespace of the node"] : []),
    ...(securityContext.runAsNonRoot === true && securityContext.runAsUser !== 0 ? [] : ["it may run as root"]),
    ...(["RuntimeDefault", "Localhost"].includes(securityContext.seccompProfile?.type ?? "") ? [] : ["it has no seccomp profile"]),
    ...strange.map(({ name }) => `volume ${name}: its kind is not allowed`),
    ...containers.flatMap(containerFaults),
  ];
}
