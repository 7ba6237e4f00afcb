/** The policy of the demo: grants by default, mediates what is metered, denies what is secret. */
export const POLICY = `version: 1
default: grant
rules:
  - name: private-keys
    path: ["**/*.pem"]
    effect: deny
  - name: secrets
    path: "secrets/**"
    effect: deny
  - name: metered-datasets
    path: "datasets/metered/**"
    effect: mediate
`;
