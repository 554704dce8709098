/*
 * request.h - the parts of the codecs that only the evaluator uses; layout tables in request.c.
 */
#ifndef FS_REQUEST_H
#define FS_REQUEST_H

#include "fs/fs.h"

/* fs_reply_encode() whose data_len bytes the caller writes himself, before anything else is appended
 * to out: at the address returned. reply's own data is ignored. */
uint8_t *fs_reply_encode_room(const struct fs_reply *reply, size_t data_len, struct buf *out);

/* Bytes that fs_dirent_encode() appends. */
size_t fs_dirent_size(size_t name_len);

void fs_statfs_encode(const struct fs_statfs *st, struct buf *out);
void fs_orphan_encode(const struct fs_orphan *o, struct buf *out);

#endif
