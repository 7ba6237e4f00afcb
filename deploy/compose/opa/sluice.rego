# The same policy as deploy/compose/policies/rules, for OPA: the answer to action "open" is the whole answer.
package sluice

import rego.v1

default decision := {"effect": "grant", "rule": "default"}

decision := {"effect": "deny", "rule": "private-keys"} if {
	some suffix in [".pem", ".key"]
	endswith(input.resource.path, suffix)
}

else := {"effect": "deny", "rule": "secrets"} if startswith(input.resource.path, "secrets/")

else := {"effect": "mediate", "rule": "metered-datasets"} if startswith(input.resource.path, "datasets/metered/")
