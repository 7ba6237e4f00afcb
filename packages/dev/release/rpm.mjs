// The package for Fedora, RHEL, openSUSE and their relatives. rpmbuild works on a staged tree: nothing is compiled or stripped there.
import { copyFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageVersion } from "./deb.mjs";
import { runTool } from "./run-tool.mjs";
import { addSystemFiles, packageFile } from "./system-files.mjs";
import { normalize } from "./tree.mjs";

const SUMMARY = "Overlay filesystem in which a policy decides about every open";

/**
 * Directories of shells belong to this package, too: otherwise they would stay behind on a machine without the shell.
 * @param {import("./settings.mjs").Release} release @param {string} stage
 */
const spec = ({ version, epoch }, stage) => `Name: sluice
Version: ${packageVersion(version)}
Release: 1
Summary: ${SUMMARY}
License: Apache-2.0
Group: System/Filesystems
AutoReqProv: no
Requires: nodejs >= 20.19, fuse3
Requires(pre): /usr/sbin/useradd
Recommends: bubblewrap, attr

%description
Sluice merges directories as overlayfs does, and asks a policy at every open how
the bytes may flow: at native speed through the kernel, through a daemon that
meters them, or not at all. It also runs a program on a copy-on-write view of a
directory, whose changes are reviewed before they are taken over.

%install
cp -a ${stage}/. %{buildroot}

%pre
${packageFile("useradd.sh")}
%post
${packageFile("make-caches.sh")}
%preun
${packageFile("rpm-preun.sh")}
%files
/usr/bin/*
/usr/sbin/*
/usr/lib/sluice
/usr/lib/systemd/system/*
%dir /usr/share/bash-completion
%dir /usr/share/bash-completion/completions
%dir /usr/share/fish
%dir /usr/share/fish/vendor_completions.d
%dir /usr/share/zsh
%dir /usr/share/zsh/site-functions
/usr/share/bash-completion/completions/sluice
/usr/share/fish/vendor_completions.d/sluice.fish
/usr/share/zsh/site-functions/_sluice
%doc /usr/share/man/man1/*
%doc /usr/share/man/man8/*
%doc /usr/share/doc/sluice
%dir /etc/sluice
%dir /etc/sluice/mounts
%config(noreplace) /etc/sluice/policy.yaml

%changelog
* ${new Date(epoch * 1000).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+).*/, "$1 $3 $2 $4")} The authors of Sluice - ${packageVersion(version)}-1
- /usr/share/doc/sluice/CHANGELOG.md has the changes.
`;

/** No step changes a file, and nothing of the machine or the moment shows. @param {string} top */
const DEFINITIONS = (top) => ({
  _topdir: top,
  _build_id_links: "none",
  _buildhost: "reproducible",
  _binary_payload: "w6.xzdio",
  __os_install_post: "%{nil}",
  debug_package: "%{nil}",
  use_source_date_epoch_as_buildtime: "1",
  clamp_mtime_to_source_date_epoch: "1",
  source_date_epoch_from_changelog: "0",
});

/** @param {import("./settings.mjs").Release} release @param {string} tree */
export function makeRpm(release, tree) {
  const top = join(release.work, "rpm");
  const stage = join(top, "stage");
  addSystemFiles(stage, tree, { zsh: "usr/share/zsh/site-functions", doc: "usr/share/doc/sluice" });
  normalize(stage, release.epoch);
  const file = join(top, "sluice.spec");
  writeFileSync(file, spec(release, stage));
  const definitions = Object.entries(DEFINITIONS(top)).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
  runTool("rpmbuild", ["-bb", "--quiet", "--target", `${release.names.rpm}-linux`, ...definitions, file]);
  const made = join(top, "RPMS", release.names.rpm);
  for (const name of readdirSync(made)) copyFileSync(join(made, name), join(release.out, name));
}
