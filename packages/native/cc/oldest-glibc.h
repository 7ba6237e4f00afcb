/*
 * Binds symbols that glibc 2.32 and 2.34 moved to their oldest version. An addon that was compiled on a new system then loads
 * with every glibc since 2.28, the oldest one that Node's own binaries support. `npm run release` checks the result.
 */
#ifndef SLUICE_OLDEST_GLIBC_H
#define SLUICE_OLDEST_GLIBC_H

#include <features.h>

#if defined(__GLIBC__) && defined(__x86_64__)
#define OLDEST_GLIBC "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define OLDEST_GLIBC "GLIBC_2.17"
#endif

#ifdef OLDEST_GLIBC
#define BIND_OLDEST(name) __asm__(".symver " #name ", " #name "@" OLDEST_GLIBC)
BIND_OLDEST(pthread_create);
BIND_OLDEST(pthread_detach);
BIND_OLDEST(pthread_join);
BIND_OLDEST(pthread_sigmask);
BIND_OLDEST(sem_destroy);
BIND_OLDEST(sem_init);
BIND_OLDEST(sem_post);
BIND_OLDEST(sem_wait);
#endif

#endif
