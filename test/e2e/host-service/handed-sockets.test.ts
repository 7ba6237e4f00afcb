/** Sockets that a user hands over as parts of a session are refused by name if no server could use them. */
import { join } from "node:path";
import { requires, runScript } from "@sluice/testkit";
import { expect } from "vitest";
import { FORM } from "./hostile-client.js";
import { pythonAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "command python3", "checkout that every user can read");

/** Asks once for each kind of socket, and prints what the service says to each in a line. */
const ASK = `
path, form, mountpoint, lower = sys.argv[1:5]
def connected(): return socket.socketpair()[0]
def unbound(): return socket.socket(socket.AF_UNIX)
def records():
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind("")
    listening.listen(1)
    return listening
def internet():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)
    return listening
def life(): return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
def datagrams(): return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def ask(pair, control):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    client.settimeout(60)
    fds = [os.open(at, os.O_PATH) for at in (mountpoint, lower, lower)]
    socket.send_fds(client, [form.encode()], [*fds, pair[0].fileno(), control.fileno()])
    said = b""
    while True:
        try: part = client.recv(9000)
        except ConnectionResetError: continue
        if not part: break
        said += part
    print(json.dumps(said.decode()), flush=True)
for control in (connected, unbound, records, internet): ask(life(), control())
ask(datagrams(), unbound())
`;

test("a control socket that nobody can connect to, and a life that is no socket of records, are refused by name", async () => {
  const home = await UserHome.make({}, await startForUsers(2));
  const form = JSON.stringify({ ...FORM, session: true, control: true });
  const args = [join(home.host.socket, "..", "users.sock"), form, home.mountpoint, home.at("lower")];
  const { stdout, stderr } = await runScript(pythonAs(USER, ASK, ...args));
  expect(stderr).toBe("");
  const control = "the control socket of a session is no unix stream socket that listens (EINVAL): use 'sluice run --host-service'";
  const life = "the socket of a session's life is no unix socket of records (EINVAL): use 'sluice run --host-service'";
  const said = stdout.trim().split("\n");
  expect(said).toEqual([control, control, control, control, life].map((words) => expect.stringContaining(words) as string));
  for (const line of said) expect(line).not.toContain("internal");
});
