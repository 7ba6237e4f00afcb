/** The text of --help. */
export const HELP = `usage: sluice-overlayfs [-f] [-d] -o lowerdir=DIR[:DIR...][,upperdir=DIR,workdir=DIR][,OPTION...] [SOURCE] MOUNTPOINT
       mount -t fuse.sluice SOURCE MOUNTPOINT -o lowerdir=...
       umount MOUNTPOINT

Takes the command line of fuse-overlayfs. Returns 0 when the mount is live, and leaves a server in the background.

    -o OPTIONS      see below; may be repeated
    -f              stay in the foreground; SIGTERM or SIGINT unmounts
    -d, --debug     log everything, in the foreground
    -s              accepted: requests are served by one thread in any case
    -V, --version   print the version
    -h, --help      print this
    --install-helpers [DIR]
                    link this command, sluice, mount.fuse.sluice and umount.fuse.sluice into DIR/usr/local/bin and DIR/sbin
                    (DIR is / by default)

Layers
    lowerdir=A:B    read-only layers, topmost first; a colon in a name is \\:, a comma \\,
    upperdir=DIR    takes every change; without it the mount is read-only
    workdir=DIR     an empty directory beside it
    redirect_dir=   on | follow | nofollow | off (default: off, a directory of a lower layer is copied and
                    not renamed; through mount(8): on)
    volatile, fsync=0             no fsync
    userxattr       marks in user.*; the default in a user namespace

What is shown
    uidmapping=ID:SHOWN:COUNT[:...], gidmapping=...   an id on the layers is shown as another, and back
    squash_to_root, squash_to_uid=ID, squash_to_gid=ID   one owner for everything
    static_nlink    st_nlink of directories is 1
    noacl, noxattrs=1             no access control lists, no extended attributes at all
    timeout=SECONDS               how long the kernel caches names and attributes

Sluice's own
    policy=FILE, decision=TARGET, on_outage=, engine=, max_stack_depth=, name=, control=, admin=   as 'sluice mount' has them
    host_service=auto|off|SOCKET   have the mount made by the host service ('sluice serve'), if one answers; with off in a
                    process of its own (default auto, or SLUICE_HOST_SERVICE; not with -f)
    log=FILE        where the log goes in the background (default /var/log/sluice/overlayfs.log)
    log_level=      default warn

ro rw dev nodev suid nosuid exec noexec noatime relatime lazytime fsname= and so on apply as with every mount. What would
only make fuse-overlayfs faster (clone_fd, max_idle_threads=, fast_ino=, writeback=, ...) is accepted and has no effect.
Any other option is an error, and nothing is mounted.

Exit codes: 0 live, 1 failed, 2 the command line is wrong, 3 the machine lacks something, 4 the mount point or a layer is
in use or unfit. As a helper of mount(8): 0, 1 for a wrong command line, 32 for everything else.
`;
