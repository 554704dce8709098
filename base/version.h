/* version.h - the release, printed by --version of every program. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define QUORUMFS_VERSION "0.1.0"

#endif
