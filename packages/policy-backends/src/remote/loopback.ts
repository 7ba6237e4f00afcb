/** Whether a host, as an address writes it, is this machine itself: nobody is on the way. */

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/;

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}
