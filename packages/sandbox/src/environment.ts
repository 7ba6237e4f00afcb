/** The variables of the command: those of the caller, without those that lead to agents, displays and services outside. */

const CLEARED = new Set([
  ...["SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "GNOME_KEYRING_CONTROL", "GNOME_KEYRING_PID"],
  ...["DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_STARTER_ADDRESS", "SESSION_MANAGER", "AT_SPI_BUS_ADDRESS"],
  ...["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XAUTHORITY", "PULSE_SERVER", "PIPEWIRE_REMOTE"],
  ...["DOCKER_HOST", "CONTAINER_HOST", "CONTAINERD_ADDRESS", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"],
  ...["TMUX", "STY", "XDG_RUNTIME_DIR", "TMPDIR", "TMP", "TEMP", "OLDPWD"],
]);
/** Editors pass the sockets of their helpers in variables of these names. */
const CLEARED_BEGINNINGS = ["VSCODE_", "SLUICE_"];

/** @param base the directory that the command works on */
export function environmentFor(name: string, base: string, given: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = Object.entries(given).filter(
    ([key]) => !CLEARED.has(key) && !CLEARED_BEGINNINGS.some((beginning) => key.startsWith(beginning)),
  );
  return { ...Object.fromEntries(kept), PWD: base, SLUICE_SESSION: name };
}
