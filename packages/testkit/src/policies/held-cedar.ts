// Set-up of test files that start Cedar's threads: each compiles Cedar's WebAssembly, in a fifth of a second of processor time. V8 gives a
// thread the code that another one of its process has. This one has it for as long as the process lives.
import { createRequire } from "node:module";

createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs");
