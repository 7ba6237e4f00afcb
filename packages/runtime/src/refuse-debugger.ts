/**
 * SIGUSR1 makes Node open a debugger on the loopback device. Every user of the machine, and every program in a session that has its network, could
 * run any code in this process by it. With a handler of its own the process opens none.
 */
export function refuseDebugger(): void {
  process.on("SIGUSR1", () => undefined);
}
