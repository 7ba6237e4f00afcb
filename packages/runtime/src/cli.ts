/** What a command needs that only starts another one: no logger, no metrics, which take longer to load than it runs. */
export { CliError, EXIT, errorLine } from "./cli-error.js";
export { VERSION } from "./version.js";
