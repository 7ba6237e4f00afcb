/** A process works in a directory that is copied up, moved or removed; and link counts of directories. */
import { dir, opaque, whiteout } from "../../tree/tree.js";
import type { Case } from "../case.js";

export const workingDirectoryCases: readonly Case[] = [
  {
    name: "a process works on in a directory that moves",
    lower: { a: dir({ b: dir({ f: "f" }) }), c: dir() },
    run(t) {
      t.perl(
        "in a moved directory",
        `use Cwd; chdir "a/b" or die $!; sub look { print join(" ", map { -e $_ ? $_ : "no" } "f", "../b/f", "../../c", "../moved/f", "new"), "\\n" } look();
        rename("../../a/b", "../../c/moved") or print "rename $!\\n"; look(); open(my $n, ">", "new") or print "open $!\\n"; look();
        rename("..", "../../e") or print "$!\\n"; rename("../../c", "../../e") or print "rename $!\\n"; look(); print((getcwd() =~ m{([^/]+/[^/]+)$})[0], "\\n");
        opendir(my $d, "."); print join(" ", sort readdir $d), "\\n";`,
      );
      t.list("e/moved");
    },
  },
  {
    name: "a process works on in a directory that is removed",
    lower: { d: dir({ f: "f" }), e: dir() },
    upper: { u: dir() },
    run(t) {
      for (const path of ["d", "e", "u"]) {
        t.perl(
          `in ${path}`,
          `use Cwd; use Errno; chdir "${path}" or die $!; unlink "f"; rmdir("../${path}") or print "rmdir $!\\n"; sub say2 { print "$_[0] ", $_[1] ? "ok" : $! + 0, "\\n" }
          say2("mkdir", mkdir("x")); say2("create", open(my $f, ">", "x")); say2("symlink", symlink("x", "x")); say2("stat", stat(".")); say2("up", stat("..")); say2("cwd", getcwd());
          say2("list", opendir(my $d, ".")); print join(" ", sort readdir $d), "\\n" if $d; say2("again", mkdir("../${path}")); say2("inside", open(my $g, ">", "x")); say2("outside", open(my $h, ">", "../${path}/x"));`,
        );
      }
      t.list("d");
      t.list("e");
    },
  },
  {
    name: "counts of links of open directories and files that lose their names",
    lower: { low: dir(), over: dir(), merged: dir({ x: "x" }), new: dir(), f: "f", g: "g", h: "h" },
    upper: { up: dir(), merged: dir({ x: whiteout() }), onto: dir(), op: opaque(), up2: dir() },
    run(t) {
      const gone = (path: string, how: string): void =>
        t.perl(
          `${how} ${path}`,
          `-d "${path}" ? opendir(F, "${path}") : open(F, "<", "${path}") or die $!; my $r = ${how}; print $r ? "ok" : $!, " ", (stat F)[3], " ", -e _ ? "there" : "gone";`,
        );
      for (const path of ["low", "merged", "up", "op"]) gone(path, `rmdir("${path}")`);
      gone("onto", 'rename("up2", "onto")');
      gone("over", 'rename("onto", "over")');
      gone("new", 'rename("over", "new")');
      gone("f", 'unlink("f")');
      gone("g", 'rename("h", "g")');
      gone("g", 'unlink("g")');
    },
  },
  {
    name: "a directorys count of links",
    lower: { low: dir({ a: dir(), b: dir(), f: "f" }), merged: dir({ a: dir() }), empty: dir() },
    upper: { up: dir({ a: dir(), b: dir() }), merged: dir({ b: dir() }), op: opaque({ a: dir() }) },
    run(t) {
      const counts = (): void => {
        for (const path of ["low", "merged", "empty", "up", "op", "new", "new/sub"]) t.nlink(path);
      };
      counts();
      t.mkdir("new");
      t.mkdir("new/sub");
      t.mkdir("up/c");
      t.mkdir("empty/c");
      counts();
      t.rename("up/a", "new/a");
      t.rename("low/a", "new/lower");
      counts();
      t.rmdir("new/a");
      t.rmdir("new/lower");
      t.rmdir("empty/c");
      counts();
      t.rename("new/sub", "empty/sub");
      t.same("dot dot", t.ino("empty/sub/.."), t.ino("empty"));
      counts();
      t.rename("empty/sub", "up/b");
      t.rename("up", "low/up", 2);
      t.rename("new", "low/f", 2);
      counts();
      t.nlink("low/f");
    },
  },
];
