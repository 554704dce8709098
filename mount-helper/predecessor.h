/*
 * predecessor.h - which session served a mount point last, so that a mount that takes the place of one that
 * was killed ends its session with its own first entry: a late operation of the dead one takes effect no
 * more, and its open files and their space do not wait for the time to live.
 *
 * One small file for each mount point (docs/formats.md), locked for as long as the process lives. It is no
 * part of the store: without it, and whenever it cannot be read, the old session ends by its time to live.
 */
#ifndef MOUNT_HELPER_PREDECESSOR_H
#define MOUNT_HELPER_PREDECESSOR_H

#include "base/base.h"
#include "fs/fs.h"

struct predecessor;

/* Where the files are: /run/quorumfs for root, $XDG_RUNTIME_DIR/quorumfs for others; NULL: nowhere. */
const char *predecessor_folder(char *buf, size_t size);
/*
 * Opens, and makes, the file of target (an absolute path) below folder. NULL: nobody remembers anything:
 * folder is NULL or cannot be written, or a living process serves the same path (in another mount namespace).
 */
struct predecessor *predecessor_open(const char *folder, const char *target);
/* The session that is to be replaced. False: none, or the file is damaged or of a later version. */
bool predecessor_get(const struct predecessor *p, uint8_t name[FS_SESSION_NAME_SIZE]);
/* Names the session that serves it now. Any thread; a failure is logged and costs only what the file is for. */
void predecessor_set(struct predecessor *p, const uint8_t name[FS_SESSION_NAME_SIZE]);
/* After a clean end there is nothing to replace: takes the file away. keep: the mount's end was not clean. */
void predecessor_close(struct predecessor *p, bool keep);
/* The file's bytes: true and the name when they are whole and of target. */
bool predecessor_decode(const void *data, size_t len, const char *target,
			uint8_t name[FS_SESSION_NAME_SIZE]);

#endif
