# Caches of compiled code, for the Node of this machine. Without them commands start more slowly.
/usr/bin/node /usr/lib/sluice/make-caches.cjs || true
