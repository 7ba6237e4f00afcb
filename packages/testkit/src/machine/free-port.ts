/**
 * A TCP port of the loopback that nobody listened on just now. It lies below the ports that the kernel gives to connections and to
 * listeners without a wish (ip_local_port_range): none of those takes it before the test does.
 */
import { createServer } from "node:net";

const LOWEST = 20_000;
const COUNT = 12_000;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** `following`: so many ports after it are free, too. */
export async function freePort(following = 0): Promise<number> {
  const port = LOWEST + Math.floor(Math.random() * COUNT);
  for (let at = port; at <= port + following; at++) if (!(await isFree(at))) return freePort(following);
  return port;
}
