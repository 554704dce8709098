/* hist_make.h - histories in a few words, for tests. Times are [start, end]; end 0: open. */
#ifndef TESTS_HISTORY_HIST_MAKE_H
#define TESTS_HISTORY_HIST_MAKE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/history/history.h"

static inline void hist_add(struct history *h, uint64_t start, uint64_t end, struct fs_request rq,
			    int status, struct fs_reply reply, uint32_t known, uint64_t index)
{
	size_t op;

	rq.name_len = rq.name ? strlen(rq.name) : 0;
	rq.name2_len = rq.name2 ? strlen(rq.name2) : 0;
	if (rq.data && rq.data_len == 0)
		rq.data_len = strlen(rq.data);
	op = history_begin(h, (uint32_t)h->count, start, &rq);
	if (end)
		history_end(h, op, end, status, &reply, known, index);
	else if (index)
		history_set_index(h, op, index);
}

static inline void hist_put(struct history *h, uint64_t start, uint64_t end, const char *value)
{
	hist_add(h, start, end, (struct fs_request){ .op = FS_KV_PUT, .name = "k", .data = value },
		 0, (struct fs_reply){ .count = strlen(value) }, HIST_ALL, 0);
}

static inline void hist_append(struct history *h, uint64_t start, uint64_t end, const char *value)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_KV_APPEND, .name = "k", .data = value }, 0,
		 (struct fs_reply){ .count = 0 }, 0, 0);
}

static inline void hist_delete(struct history *h, uint64_t start, uint64_t end, int status)
{
	hist_add(h, start, end, (struct fs_request){ .op = FS_KV_DELETE, .name = "k" }, status,
		 (struct fs_reply){ .count = 0 }, 0, 0);
}

/* value NULL: ENOENT. */
static inline void hist_get(struct history *h, uint64_t start, uint64_t end, const char *value)
{
	size_t len = value ? strlen(value) : 0;

	hist_add(h, start, end, (struct fs_request){ .op = FS_KV_GET, .name = "k" },
		 value ? 0 : -ENOENT,
		 (struct fs_reply){ .data = value, .data_len = len, .count = len }, HIST_ALL, 0);
}

static inline void hist_write(struct history *h, uint64_t start, uint64_t end, uint64_t off,
			      const char *value)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_WRITE, .ino = 5, .offset = off, .data = value }, 0,
		 (struct fs_reply){ .count = strlen(value) }, HIST_COUNT, 0);
}

static inline void hist_write_end(struct history *h, uint64_t start, uint64_t end,
				  const char *value)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_WRITE, .ino = 5, .flags = O_APPEND, .data = value },
		 0, (struct fs_reply){ .count = strlen(value) }, HIST_COUNT, 0);
}

static inline void hist_cut(struct history *h, uint64_t start, uint64_t end, uint64_t size)
{
	hist_add(h, start, end,
		 (struct fs_request){
			 .op = FS_SETATTR, .ino = 5, .valid = FS_SET_SIZE, .size = size },
		 0, (struct fs_reply){ .count = 0 }, 0, 0);
}

static inline void hist_read(struct history *h, uint64_t start, uint64_t end, uint64_t off,
			     uint64_t size, const char *value, size_t len)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_READ, .ino = 5, .offset = off, .size = size }, 0,
		 (struct fs_reply){ .data = value, .data_len = len }, HIST_DATA, 0);
}

static inline struct fs_reply hist_attr(uint64_t ino, uint32_t mode, uint32_t nlink, uint64_t size)
{
	return (struct fs_reply){
		.has_attr = true, .attr = { .ino = ino, .mode = mode, .nlink = nlink, .size = size }
	};
}

/* op: CREATE, MKDIR, LOOKUP (ino is what they tell, 0: nothing), UNLINK, RMDIR. */
static inline void hist_name(struct history *h, uint64_t start, uint64_t end, uint8_t op,
			     uint64_t dir, const char *name, int status, uint64_t ino)
{
	hist_add(
		h, start, end,
		(struct fs_request){
			.op = op, .ino = dir, .name = name, .flags = op == FS_CREATE ? O_EXCL : 0 },
		status, hist_attr(ino, 0, 0, 0), ino ? HIST_INO : 0, 0);
}

static inline void hist_rename(struct history *h, uint64_t start, uint64_t end, uint64_t dir,
			       const char *name, uint64_t dir2, const char *name2, uint32_t flags,
			       int status)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_RENAME,
				      .ino = dir,
				      .name = name,
				      .ino2 = dir2,
				      .name2 = name2,
				      .flags = flags },
		 status, (struct fs_reply){ .count = 0 }, 0, 0);
}

static inline void hist_link(struct history *h, uint64_t start, uint64_t end, uint64_t ino,
			     uint64_t dir, const char *name, int status)
{
	hist_add(h, start, end,
		 (struct fs_request){ .op = FS_LINK, .ino = ino, .ino2 = dir, .name = name },
		 status, (struct fs_reply){ .count = 0 }, 0, 0);
}

static inline void hist_getattr(struct history *h, uint64_t start, uint64_t end, uint64_t ino,
				struct fs_reply reply, uint32_t known)
{
	reply.attr.ino = ino;
	hist_add(h, start, end, (struct fs_request){ .op = FS_GETATTR, .ino = ino }, 0, reply,
		 known | HIST_INO | HIST_TYPE, 0);
}

/* names: one letter each, '0' + its digit the inode: "a5b6". */
static inline void hist_list(struct history *h, uint64_t start, uint64_t end, uint64_t dir,
			     enum hist_listing flags, const char *names)
{
	struct buf list = BUF_INIT;

	for (; *names; names += 2) {
		struct fs_dirent d = { .ino = (uint64_t)(names[1] - '0'),
				       .name = names,
				       .name_len = 1 };

		fs_dirent_encode(&d, &list);
	}
	hist_add(h, start, end, (struct fs_request){ .op = FS_READDIR, .ino = dir, .flags = flags },
		 0, (struct fs_reply){ .data = list.data, .data_len = list.len }, HIST_DATA, 0);
	buf_release(&list);
}

#endif
