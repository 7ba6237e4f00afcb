/** FIFOs, sockets and devices at work: processes keep talking through a name while it is copied up or moved. */
import { charDevice, dir, fifo, socket } from "../../tree/tree.js";
import type { Case } from "../case.js";

/** A child that prints all it reads on standard output, line by line. */
const READER =
  'sub reader { my ($path) = @_; my $pid = fork; if (!$pid) { open(my $in, "<", $path) or die $!; print while <$in>; exit 0 } return $pid }; $| = 1;';
const SERVER =
  'use IO::Socket::UNIX; sub ask { my ($path) = @_; my $c = IO::Socket::UNIX->new(Peer => $path); return print "$path $!\\n" if !$c; my $s = $listen->accept; print $s "hello\\n"; close $s; print "$path ", <$c> };';

export const endpointCases: readonly Case[] = [
  {
    name: "two processes meet at a fifo of the lower layer while it is changed",
    lower: { p: fifo({ mode: 0o666 }), d: dir() },
    run(t) {
      t.perl(
        "a writer before and after its name changes",
        `${READER} my $pid = reader("p"); open(my $out, ">", "p") or die $!; $out->autoflush(1); print $out "first\\n"; chmod(0600, "p"); print $out "second\\n";
        rename("p", "d/q") or print $!; open(my $again, ">>", "d/q") or die $!; print $again "third\\n"; close $again; unlink "d/q"; print $out "fourth\\n"; close $out; waitpid $pid, 0;`,
      );
      t.list();
      t.list("d");
    },
  },
  {
    name: "a fifo without a reader",
    lower: { p: fifo({ mode: 0o666 }) },
    upper: { u: fifo({ mode: 0o666 }) },
    run(t) {
      for (const path of ["p", "u"]) {
        t.close(t.open(path, 0o4001));
        const fd = t.open(path, 0o4002);
        t.write(fd, "x");
        t.pread(fd, 4, 0);
        t.seek(fd, 0, 0);
        t.ftruncate(fd, 0);
        t.fstat(fd);
        t.close(fd);
      }
    },
  },
  {
    name: "a socket is found by its name wherever that goes",
    lower: { d: dir(), old: socket({ mode: 0o777 }) },
    run(t) {
      t.perl(
        "bind, connect, move, link, unlink",
        `${SERVER} our $listen = IO::Socket::UNIX->new(Local => "d/s", Listen => 4) or die $!; ask("d/s"); chmod(0700, "d/s"); ask("d/s"); rename("d/s", "t"); ask("t"); ask("d/s");
        link("t", "u"); ask("u"); unlink("t"); ask("u"); ask("old"); print IO::Socket::UNIX->new(Local => "u", Listen => 1) ? "bound" : $!, "\\n";`,
      );
      t.stat("u");
      t.list("d");
    },
  },
  {
    name: "a device is the device whatever layer names it",
    lower: { null: charDevice(1, 3, { mode: 0o666 }), zero: charDevice(1, 5, { mode: 0o666 }) },
    run(t) {
      for (const path of ["null", "zero"]) {
        const fd = t.open(path, 2);
        t.chmod(path, 0o644);
        t.write(fd, "gone");
        t.pread(fd, 3, 0);
        t.close(fd);
        t.read(path === "null" ? path : "missing");
        t.link(path, `${path}-2`);
        t.stat(`${path}-2`);
        t.close(t.open(`${path}-2`, 1 | 0o1000));
      }
    },
  },
];
