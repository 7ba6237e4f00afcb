#!/usr/bin/env bash
# The whole on a cluster of kind (https://kind.sigs.k8s.io): builds the image, installs the chart with the values of the examples, and lets
# two pods read a gated volume. Ends with "ok", or with the first step that failed. Needs docker, kind, kubectl and helm.
#
# Usage: kind.sh [CLUSTER]   default: sluice. The cluster stays; `kind delete cluster --name CLUSTER` removes it.
set -euo pipefail
cd "$(dirname "$0")/../.."

cluster=${1:-sluice}
context=kind-$cluster
image=registry.example.com/sluice
version=$(node -p 'require("./package.json").version')
kubectl() { command kubectl --context "$context" "$@"; }

docker build -f deploy/docker/Dockerfile -t "$image:$version" .
kind get clusters | grep -qx "$cluster" || kind create cluster --name "$cluster" --wait 120s
kind load docker-image "$image:$version" --name "$cluster"

for node in $(kind get nodes --name "$cluster"); do
  docker exec "$node" mkdir -p /srv/sluice/models/released /srv/sluice/checkouts/main /srv/sluice/agent/tools /srv/sluice/agent/base
  docker exec "$node" sh -c 'echo weights >/srv/sluice/models/released/weights.bin && echo draft >/srv/sluice/models/draft.bin'
done

helm upgrade --install sluice deploy/k8s/chart --kube-context "$context" -n sluice --create-namespace \
  -f deploy/k8s/examples/values.yaml --set image.pullPolicy=Never --wait --timeout 5m
kubectl label --overwrite namespace sluice pod-security.kubernetes.io/enforce=privileged

# pod NAMESPACE ACCOUNT COMMAND: its output, of a restricted pod with the source `models`.
pod() {
  local namespace=$1 account=$2 command=$3
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
  kubectl -n "$namespace" create serviceaccount "$account" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl -n "$namespace" delete pod reader --ignore-not-found >/dev/null
  kubectl -n "$namespace" apply -f - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata: { name: reader }
spec:
  serviceAccountName: $account
  restartPolicy: Never
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: RuntimeDefault } }
  containers:
    - name: reader
      image: $image:$version
      imagePullPolicy: Never
      command: [sh, -c, "$command"]
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
      volumeMounts: [{ name: models, mountPath: /models }]
  volumes:
    - name: models
      csi: { driver: csi.sluice, volumeAttributes: { source: models } }
POD
  kubectl -n "$namespace" wait pod/reader --for=jsonpath='{.status.phase}'=Succeeded --timeout=120s >/dev/null
  kubectl -n "$namespace" logs reader
}

expect() {
  [ "$1" = "$2" ] && return
  echo "expected: $2" >&2
  echo "got:      $1" >&2
  exit 1
}

expect "$(pod team-a trainer 'cat /models/draft.bin')" draft
expect "$(pod team-eval default 'cat /models/released/weights.bin; cat /models/draft.bin 2>/dev/null || echo denied')" "$(printf 'weights\ndenied')"

# A new driver, while a pod has a volume: nothing is unmounted.
kubectl -n sluice rollout restart daemonset/sluice-driver
kubectl -n sluice rollout status daemonset/sluice-driver --timeout=120s
expect "$(pod team-a trainer 'cat /models/released/weights.bin')" weights
echo ok
