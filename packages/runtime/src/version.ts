/** The version of this build, as told by --version, Hello and Welcome. */
export const VERSION = "0.1.0";
