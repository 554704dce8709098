#!/bin/sh
# The FUSE front end under real system calls, over an in-process server: tests/posix/fuse_local.c.
# Exit: 0, 1, 77 skipped. Environment: BUILD, SEED (default 1).
exec "${BUILD:-build}/tests/posix/fuse_local" -s "${SEED:-1}"
