/*
 * test_model.c - random operations on fs/ops and on the plain model at the same time: errno, attributes,
 * names and contents must stay equal, with entries applied at once and with entries in the overlay. Several
 * sessions take part, which get delegations, write under them, and give them back when others are blocked.
 *
 * SEED replays a run, OPS sets its length.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/xattr.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/prng.h"
#include "tests/lib/fsfix.h"
#include "tests/lib/fsmodel.h"

#define SIZE_MAX_HERE (40u * 8192u) /* ten blocks */
#define NODES_MAX 60

static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };
static const char *const xattr_names[] = { "user.a", "user.b", "trusted.c", "security.capability" };
static uint8_t pattern[SIZE_MAX_HERE];

#define SESSIONS 3u
#define STRANGER 99u /* a session that asks for no delegation */

/* What the holders believe; the node's place in the model is its place here. */
struct held {
	uint64_t ino;
	struct fs_delegation d; /* number 0: none */
};

struct run {
	struct held held[NODES_MAX];
	struct fsfix *f;
	struct model m;
	struct prng p;
	uint64_t step;
};

static uint64_t below(struct run *r, uint64_t bound)
{
	return prng_below(&r->p, bound);
}

static const char *any_name(struct run *r)
{
	return names[below(r, ARRAY_SIZE(names))];
}

/* Often one that dir has. */
static const char *name_in(struct run *r, const struct mnode *dir)
{
	static char name[8]; /* the entry itself may move */

	if (dir->entry_count == 0 || below(r, 3) == 0)
		return any_name(r);
	snprintf(name, sizeof(name), "%s", dir->entries[below(r, dir->entry_count)].name);
	return name;
}

static struct mnode *any_node(struct run *r)
{
	return r->m.nodes[below(r, r->m.count)];
}

/* Mostly directories that live, so that most operations get somewhere. */
static struct mnode *any_dir(struct run *r)
{
	for (int i = 0; i < 20; i++) {
		struct mnode *n = any_node(r);

		if (S_ISDIR(n->attr.mode) && (n->attr.nlink > 0 || below(r, 10) == 0))
			return n;
	}
	return below(r, 20) ? r->m.nodes[0] : any_node(r);
}

/* Orphans, and now and then something that is none. */
static struct mnode *any_orphan(struct run *r)
{
	size_t first = (size_t)below(r, r->m.count);

	for (size_t i = 0; i < r->m.count && below(r, 50); i++) {
		struct mnode *n = r->m.nodes[(first + i) % r->m.count];

		if (n->attr.nlink == 0)
			return n;
	}
	return any_node(r);
}

static void agree(struct run *r, const char *op, int ret, int want)
{
	if (ret != want)
		fail_msg("step %llu: %s returned %d, the model says %d",
			 (unsigned long long)r->step, op, ret, want);
}

#define AGREE_FIELD(r, field)                                                                      \
	do {                                                                                       \
		if (a->field != b->field)                                                          \
			fail_msg("step %llu: inode %llu: " #field " is %lld, the model says %lld", \
				 (unsigned long long)(r)->step, (unsigned long long)b->ino,        \
				 (long long)a->field, (long long)b->field);                        \
	} while (0)

static void agree_attr(struct run *r, const struct fs_attr *a, const struct mnode *n)
{
	const struct fs_attr *b = &n->attr;

	AGREE_FIELD(r, ino);
	AGREE_FIELD(r, mode);
	AGREE_FIELD(r, nlink);
	AGREE_FIELD(r, uid);
	AGREE_FIELD(r, gid);
	AGREE_FIELD(r, size);
	AGREE_FIELD(r, blocks);
	AGREE_FIELD(r, atime_ns);
	AGREE_FIELD(r, mtime_ns);
	AGREE_FIELD(r, ctime_ns);
	AGREE_FIELD(r, btime_ns);
	AGREE_FIELD(r, data_version);
}

/* After an operation that answers with the inode's attributes; a new inode gets its number here. */
static void agree_reply(struct run *r, struct mnode *n)
{
	assert_true(r->f->reply.has_attr);
	if (n->attr.ino == 0)
		n->attr.ino = r->f->reply.attr.ino;
	agree_attr(r, &r->f->reply.attr, n);
}

/* ---- delegations ---- */

static struct held *held_of(struct run *r, uint64_t ino)
{
	struct held *unused = NULL;

	for (size_t i = 0; i < NODES_MAX; i++) {
		if (r->held[i].ino == ino)
			return &r->held[i];
		if (r->held[i].d.number == 0)
			unused = &r->held[i];
	}
	assert_non_null(unused);
	*unused = (struct held){ .ino = ino };
	return unused;
}

/* After a request that asked for one: once granted the same is told again. */
static void note_granted(struct run *r, uint64_t ino)
{
	struct fs_delegation d = r->f->reply.delegation;
	struct held *h = held_of(r, ino);

	if (d.number == 0)
		return;
	assert_int_equal(d.session, r->f->session_id);
	assert_true(h->d.number == 0 || h->d.number == d.number);
	h->d = d;
}

static int give_back(struct run *r, const struct held *h, uint8_t op)
{
	uint8_t name[16];

	store_le64(name, h->ino);
	store_le64(name + 8, h->d.number);
	return fsfix_eval(r->f, (struct fs_request){ .op = op, .data = name, .data_len = sizeof(name) });
}

/* The holder ends it in one of the ways there are. */
static void end_delegation(struct run *r, struct held *h)
{
	uint64_t session = r->f->session_id;
	uint8_t name[FS_SESSION_NAME_SIZE] = { 0 };
	struct fs_request rq = { .op = FS_GATHERED, .ino = h->ino, .ino2 = h->d.number, .flags = FS_GATHERED_RETURN };
	int ret;

	r->f->session_id = h->d.session;
	switch (below(r, 4)) {
	case 0:
		ret = fsfix_eval(r->f, rq);
		break;
	case 1:
		ret = give_back(r, h, FS_DELEGATION_RETURN);
		break;
	case 2:
		r->f->session_id = 0;
		ret = give_back(r, h, FS_DELEGATION_REVOKE);
		break;
	default:
		store_le64(name + KV_UUID_SIZE, h->d.session);
		ret = fsfix_eval(r->f, (struct fs_request){
					       .op = FS_SESSION_END, .data = name, .data_len = sizeof(name) });
		for (size_t i = 0; i < NODES_MAX; i++)
			if (&r->held[i] != h && r->held[i].d.session == h->d.session)
				r->held[i].d.number = 0;
	}
	agree(r, "end of a delegation", ret, 0);
	assert_true(r->f->frees && r->f->mutated);
	h->d.number = 0;
	r->f->session_id = session;
}

static void recalled(void *ctx, uint64_t ino, struct fs_delegation d)
{
	struct run *r = ctx;
	struct held *h = held_of(r, ino);

	assert_int_not_equal(d.session, r->f->session_id);
	assert_int_equal(d.session, h->d.session);
	assert_int_equal(d.number, h->d.number);
	end_delegation(r, h);
}

/* ---- one step each ---- */

static void step_lookup(struct run *r)
{
	struct mnode *dir = any_dir(r), *n = NULL;
	const char *name = name_in(r, dir);
	int want = model_lookup(&r->m, dir, name, &n);

	agree(r, "lookup", fsfix_lookup(r->f, dir->attr.ino, name), want);
	if (want == 0)
		agree_reply(r, n);
}

static void step_make(struct run *r)
{
	static const uint32_t types[] = { S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, S_IFREG };
	uint32_t type = types[below(r, ARRAY_SIZE(types))], mode = type | (uint32_t)below(r, 01000);
	struct mnode *dir = any_dir(r), *n = NULL;
	const char *name = any_name(r);
	uint64_t parent = dir->attr.ino;
	int ret, want;

	if (r->m.count >= NODES_MAX)
		return;
	if (type == S_IFLNK)
		mode = S_IFLNK | 0777;
	want = model_make(&r->m, dir, name, mode, type == S_IFLNK ? "some/target" : NULL, &n);
	if (type == S_IFDIR)
		ret = fsfix_mkdir(r->f, parent, name, mode);
	else if (type == S_IFLNK)
		ret = fsfix_symlink(r->f, parent, name, "some/target");
	else
		ret = fsfix_eval(r->f, (struct fs_request){ .op = FS_MKNOD,
							    .ino = parent,
							    .name = name,
							    .name_len = strlen(name),
							    .mode = mode });
	agree(r, "make", ret, want);
	if (want == 0)
		agree_reply(r, n);
}

static void step_create(struct run *r)
{
	static const uint32_t access[] = { O_RDONLY, O_WRONLY, O_RDWR };
	uint32_t flags = access[below(r, 3)], mode = (uint32_t)below(r, 010000);
	struct mnode *dir = any_dir(r), *n = NULL;
	const char *name = any_name(r);
	bool created = false;
	int want;

	if (r->m.count >= NODES_MAX)
		return;
	flags |= below(r, 4) == 0 ? O_EXCL : 0;
	flags |= below(r, 4) == 0 ? O_TRUNC : 0;
	/* Its own it would be told to look at again, where it truncates. */
	if (flags & O_TRUNC)
		r->f->session_id = STRANGER;
	want = model_create(&r->m, dir, name, mode, flags, &n, &created);
	agree(r, "create",
	      fsfix_eval(r->f, (struct fs_request){ .op = FS_CREATE,
						    .ino = dir->attr.ino,
						    .name = name,
						    .name_len = strlen(name),
						    .mode = mode,
						    .flags = flags,
						    .size = r->f->session_id == STRANGER ? 0 : below(r, 2) * 5000 }),
	      want);
	if (want < 0)
		return;
	note_granted(r, r->f->reply.attr.ino);
	assert_int_equal(r->f->reply.created, created);
	agree_reply(r, n);
}

static void step_tmpfile(struct run *r)
{
	uint32_t mode = (uint32_t)below(r, 010000);
	bool linkable = below(r, 3) > 0;
	struct mnode *dir = any_dir(r), *n = NULL;
	int want;

	if (r->m.count >= NODES_MAX)
		return;
	want = model_tmpfile(&r->m, dir, mode, linkable, &n);
	agree(r, "tmpfile",
	      fsfix_eval(r->f, (struct fs_request){ .op = FS_TMPFILE,
						    .ino = dir->attr.ino,
						    .mode = mode,
						    .flags = linkable ? 0 : O_EXCL }),
	      want);
	if (want == 0)
		agree_reply(r, n);
}

static void step_remove(struct run *r)
{
	struct mnode *dir = any_dir(r);
	const char *name = name_in(r, dir);
	uint64_t parent = dir->attr.ino;

	if (below(r, 2))
		agree(r, "unlink", fsfix_unlink(r->f, parent, name),
		      model_unlink(&r->m, dir, name));
	else
		agree(r, "rmdir", fsfix_rmdir(r->f, parent, name), model_rmdir(&r->m, dir, name));
}

static void step_link(struct run *r)
{
	struct mnode *n = any_node(r), *dir = any_dir(r);
	const char *name = any_name(r);
	int want = model_link(&r->m, n, dir, name);

	agree(r, "link", fsfix_link(r->f, n->attr.ino, dir->attr.ino, name), want);
	if (want == 0)
		agree_reply(r, n);
}

static void step_rename(struct run *r)
{
	static const uint32_t choice[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	uint32_t flags = choice[below(r, ARRAY_SIZE(choice))];
	struct mnode *a = any_dir(r), *b = below(r, 3) ? any_dir(r) : a;
	uint64_t from = a->attr.ino, to = b->attr.ino;
	char name[8], name2[8];

	snprintf(name, sizeof(name), "%s", name_in(r, a));
	snprintf(name2, sizeof(name2), "%s", name_in(r, b));
	int want = model_rename(&r->m, a, name, b, name2, flags);

	agree(r, "rename", fsfix_rename(r->f, from, name, to, name2, flags), want);
}

static uint64_t any_edge(struct run *r)
{
	return (1 + below(r, SIZE_MAX_HERE / KV_BLOCK_SIZE - 1)) * KV_BLOCK_SIZE;
}

static uint64_t any_offset(struct run *r, const struct mnode *n)
{
	switch (below(r, 5)) {
	case 0:
		return n->content.len;
	case 1:
		return any_edge(r);
	case 2:
		return any_edge(r) + below(r, 3) - (below(r, 3) > 0); /* beside it, too */
	case 3:
		return below(r, 200);
	default:
		return below(r, SIZE_MAX_HERE);
	}
}

/* Little, much, or just so much that the end meets the edge of a block, or misses it by one. */
static size_t any_length(struct run *r, uint64_t at)
{
	uint64_t edge = any_edge(r) + below(r, 2);

	switch (below(r, 4)) {
	case 0:
		return below(r, 3 * KV_BLOCK_SIZE);
	case 1:
		return edge > at && edge - at <= 3 * KV_BLOCK_SIZE ? edge - at : 1;
	default:
		return below(r, 300);
	}
}

static void step_write(struct run *r)
{
	struct mnode *n = any_node(r);
	bool append = below(r, 4) == 0;
	uint64_t off = any_offset(r, n), old = n->attr.data_version;
	uint64_t at = append ? n->content.len : off;
	size_t len = any_length(r, at);
	const uint8_t *data = pattern + below(r, 1000);
	int want;

	if (S_ISREG(n->attr.mode) && at + len > SIZE_MAX_HERE)
		return;
	want = model_write(&r->m, n, off, append, data, len);
	agree(r, "write",
	      fsfix_eval(r->f, (struct fs_request){ .op = FS_WRITE,
						    .ino = n->attr.ino,
						    .offset = off,
						    .data = data,
						    .data_len = len,
						    .size = below(r, 2) * 4000,
						    .flags = append ? O_APPEND : 0 }),
	      want);
	if (want < 0)
		return;
	note_granted(r, n->attr.ino);
	assert_int_equal(r->f->reply.count, len);
	assert_int_equal(r->f->reply.offset, at);
	assert_int_equal(r->f->reply.old_data_version, old);
	agree_reply(r, n);
}

/* Several writes in one entry, which is one change of the file. */
static void model_gathered(struct run *r, struct mnode *n, const struct buf *extents)
{
	int64_t mtime = n->attr.mtime_ns, ctime = n->attr.ctime_ns;
	uint64_t version = n->attr.data_version;
	const uint8_t *data = extents->data;
	size_t left = extents->len;
	struct fs_extent e;

	while (fs_extent_next(&data, &left, &e))
		assert_int_equal(model_write(&r->m, n, e.offset, false, e.data, e.len), 0);
	n->attr.data_version = version + 1;
	n->attr.mtime_ns = r->m.now > mtime ? r->m.now : mtime + 1;
	n->attr.ctime_ns = r->m.now > ctime ? r->m.now : ctime + 1;
}

static void step_gathered(struct run *r)
{
	struct mnode *n = any_node(r);
	struct held *h = held_of(r, n->attr.ino);
	struct fs_request rq = { .op = FS_GATHERED, .ino = n->attr.ino, .ino2 = h->d.number };
	bool strange = below(r, 4) == 0;
	struct buf extents = BUF_INIT;

	for (uint64_t i = 1 + below(r, 5); i > 0; i--) {
		struct fs_extent e = { .offset = any_offset(r, n), .data = pattern + below(r, 1000) };

		e.len = (uint32_t)any_length(r, e.offset);
		if (e.len > 0 && e.offset + e.len <= SIZE_MAX_HERE)
			fs_extent_encode(&e, &extents);
	}
	rq.data = extents.data;
	rq.data_len = extents.len;
	rq.flags = below(r, 4) == 0 ? FS_GATHERED_RETURN : 0;
	rq.ino2 += strange ? 1 : 0;
	r->f->session_id = h->d.number ? h->d.session : r->f->session_id;
	if (extents.len == 0) {
		/* nothing was gathered */
	} else if (h->d.number == 0 || strange) {
		agree(r, "gathered", fsfix_eval(r->f, rq), -EKEYREVOKED);
	} else {
		agree(r, "gathered", fsfix_eval(r->f, rq), 0);
		model_gathered(r, n, &extents);
		agree_reply(r, n);
		h->d.number = rq.flags ? 0 : h->d.number;
		assert_int_equal(r->f->reply.delegation.number, h->d.number);
	}
	buf_release(&extents);
}

static void agree_content(struct run *r, const struct mnode *n, uint64_t off, size_t len)
{
	size_t have = off < n->content.len ? n->content.len - off : 0;

	have = have < len ? have : len;
	agree(r, "read", fsfix_read(r->f, n->attr.ino, off, len), 0);
	if (r->f->reply.data_len != have ||
	    (have > 0 && memcmp(r->f->reply.data, n->content.data + off, have) != 0))
		fail_msg("step %llu: inode %llu reads otherwise than the model at %llu",
			 (unsigned long long)r->step, (unsigned long long)n->attr.ino,
			 (unsigned long long)off);
}

static void step_read(struct run *r)
{
	struct mnode *n = any_node(r);

	if (S_ISREG(n->attr.mode))
		agree_content(r, n, any_offset(r, n), below(r, 100000));
	else
		agree(r, "read", fsfix_read(r->f, n->attr.ino, 0, 10),
		      S_ISDIR(n->attr.mode) ? -EISDIR : -EINVAL);
}

static void step_truncate(struct run *r)
{
	struct mnode *n = any_node(r);
	uint64_t size = any_offset(r, n);
	int want;

	if (below(r, 5) == 0) {
		want = model_truncate(&r->m, n, 0, true);
		agree(r, "open-trunc",
		      fsfix_eval(r->f,
				 (struct fs_request){ .op = FS_OPEN_TRUNC, .ino = n->attr.ino }),
		      want);
	} else {
		want = model_truncate(&r->m, n, size, false);
		agree(r, "truncate", fsfix_truncate(r->f, n->attr.ino, size), want);
	}
	if (want == 0)
		agree_reply(r, n);
}

/* Goes on until all is done, as the front end does; each entry is a step of the model, too. */
static void step_allocate(struct run *r)
{
	struct mnode *n = any_node(r);
	bool keep = below(r, 2), zero = below(r, 2), punch = below(r, 3) == 0;
	uint64_t off = any_offset(r, n), len = any_length(r, off), size = n->content.len;

	if (off + len > SIZE_MAX_HERE)
		return;
	r->f->step_blocks = (uint32_t)below(r, 4); /* 0: the default, more than there are */
	for (;;) {
		struct fs_request rq = { .op = punch ? FS_PUNCH : FS_ALLOCATE,
					 .ino = n->attr.ino,
					 .offset = off,
					 .size = len };
		int ret, want;

		if (!punch)
			rq.flags =
				(keep ? FS_ALLOCATE_KEEP_SIZE : 0) | (zero ? FS_ALLOCATE_ZERO : 0);
		ret = fsfix_eval(r->f, rq);
		uint64_t done = ret == 0 ? r->f->reply.count : len;

		want = punch ? model_punch(&r->m, n, off, done)
			     : model_allocate(&r->m, n, off, done, keep, zero);
		agree(r, punch ? "punch" : "allocate", ret, want);
		if (want < 0)
			break;
		agree_reply(r, n);
		assert_true(done > 0 && done <= len);
		if (done == len)
			break;
		off += done;
		len -= done;
		r->m.now = r->f->wall_ns;
	}
	r->f->step_blocks = 0;
	assert_true(n->content.len == size || (!keep && !punch));
}

static void step_seek(struct run *r)
{
	struct mnode *n = any_node(r);
	uint64_t off = any_offset(r, n), found = 0;
	bool hole = below(r, 2);
	int want = model_seek(n, off, hole, &found);

	agree(r, "seek",
	      fsfix_eval(r->f, (struct fs_request){ .op = FS_SEEK,
						    .ino = n->attr.ino,
						    .offset = off,
						    .flags = hole ? SEEK_HOLE : SEEK_DATA }),
	      want);
	if (want < 0)
		return;
	assert_int_equal(r->f->reply.offset, found);
	assert_int_equal(r->f->reply.count, 0);
}

static void step_copy(struct run *r)
{
	struct mnode *a = any_node(r), *b = below(r, 3) ? any_node(r) : a;
	uint64_t from = any_offset(r, a), to = any_offset(r, b), len = any_length(r, from);
	uint8_t at[8];
	int ret, want;

	store_le64(at, to);
	len = from < a->content.len ? min_u64(len, a->content.len - from) : 0;
	if (to + len > SIZE_MAX_HERE ||
	    (a == b && S_ISREG(a->attr.mode) && from < to + len && to < from + len))
		return;
	if (S_ISREG(a->attr.mode) != S_ISREG(b->attr.mode))
		want = S_ISDIR((S_ISREG(a->attr.mode) ? b : a)->attr.mode) ? -EISDIR : -EINVAL;
	else if (S_ISREG(a->attr.mode))
		want = 0;
	else
		want = S_ISDIR(a->attr.mode) ? -EISDIR : -EINVAL;
	r->f->step_blocks = (uint32_t)below(r, 4);
	ret = fsfix_eval(r->f, (struct fs_request){ .op = FS_COPY_RANGE,
						    .ino = a->attr.ino,
						    .ino2 = b->attr.ino,
						    .offset = from,
						    .size = len,
						    .data = at,
						    .data_len = sizeof(at) });
	r->f->step_blocks = 0;
	agree(r, "copy", ret, want);
	if (want < 0)
		return;
	assert_int_equal(r->f->reply.count > 0, len > 0);
	assert_true(r->f->reply.count <= len);
	if (len > 0)
		model_copy(&r->m, a, from, b, to, r->f->reply.count);
	agree_reply(r, b);
}

static void step_setattr(struct run *r)
{
	struct mnode *n = any_node(r);
	struct fs_request rq = { .op = FS_SETATTR, .ino = n->attr.ino };

	switch (below(r, 4)) {
	case 3:
		rq.valid = FS_SET_WAS_READ;
		rq.atime_ns = r->m.now + (int64_t)below(r, 3000) - 2000;
		model_was_read(n, rq.atime_ns, r->m.now);
		break;
	case 0:
		rq.valid = FS_SET_MODE;
		rq.mode = (uint32_t)below(r, 010000);
		model_chmod(&r->m, n, rq.mode);
		break;
	case 1:
		rq.valid = FS_SET_UID;
		rq.uid2 = (uint32_t)below(r, 3);
		model_chown(&r->m, n, rq.uid2);
		break;
	default:
		rq.valid = FS_SET_ATIME | FS_SET_MTIME;
		rq.atime_ns = (int64_t)prng_u64(&r->p);
		rq.mtime_ns = (int64_t)(prng_u64(&r->p) >> 2);
		model_utimens(&r->m, n, rq.atime_ns, rq.mtime_ns);
	}
	agree(r, "setattr", fsfix_eval(r->f, rq), 0);
	agree_reply(r, n);
}

static void step_xattr(struct run *r)
{
	static const uint32_t choice[] = { 0, 0, XATTR_CREATE, XATTR_REPLACE };
	uint32_t flags = choice[below(r, ARRAY_SIZE(choice))];
	struct mnode *n = any_node(r);
	const char *name = xattr_names[below(r, ARRAY_SIZE(xattr_names))];
	struct fs_request rq = {
		.op = FS_REMOVEXATTR, .ino = n->attr.ino, .name = name, .name_len = strlen(name)
	};
	char value[16];

	snprintf(value, sizeof(value), "v%llu", (unsigned long long)r->step);
	if (below(r, 3))
		agree(r, "setxattr", fsfix_setxattr(r->f, n->attr.ino, name, value, flags),
		      model_setxattr(&r->m, n, name, value, flags));
	else
		agree(r, "removexattr", fsfix_eval(r->f, rq), model_removexattr(&r->m, n, name));
}

/* The two kinds of work the leader does by itself. */
static void step_reclaim(struct run *r)
{
	struct mnode *n = any_orphan(r);

	assert_int_equal(fsfix_reclaim(r->f, n->attr.ino), 0);
	assert_int_equal(r->f->mutated, n->attr.nlink == 0);
	if (n->attr.nlink == 0) {
		held_of(r, n->attr.ino)->d.number = 0; /* it went as well */
		model_reclaim(&r->m, n);
	}
}

/* ---- everything at once ---- */

static void agree_listing(struct run *r, const struct mnode *dir)
{
	struct fs_request rq = { .op = FS_READDIR, .ino = dir->attr.ino, .size = 100 };
	size_t seen = 0;

	for (;;) {
		struct fs_dirent d;
		const uint8_t *data;
		size_t len;

		agree(r, "readdir", fsfix_eval(r->f, rq), 0);
		data = r->f->reply.data;
		len = r->f->reply.data_len;
		if (len == 0)
			break;
		while (fs_dirent_next(&data, &len, &d)) {
			char name[8] = "";
			struct mnode *n;

			rq.offset = d.cookie;
			if (d.cookie <= 2)
				continue;
			assert_true(d.name_len < sizeof(name));
			memcpy(name, d.name, d.name_len);
			n = model_find(dir, name);
			assert_non_null(n);
			assert_int_equal(d.ino, n->attr.ino);
			assert_int_equal(d.mode, n->attr.mode & S_IFMT);
			seen++;
		}
	}
	assert_int_equal(seen, dir->entry_count);
}

static void agree_xattrs(struct run *r, const struct mnode *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattr_names); i++) {
		const char *want = model_getxattr(n, xattr_names[i]);

		agree(r, "getxattr", fsfix_getxattr(r->f, n->attr.ino, xattr_names[i]),
		      want ? 0 : -ENODATA);
		if (!want)
			continue;
		assert_int_equal(r->f->reply.data_len, strlen(want));
		assert_memory_equal(r->f->reply.data, want, strlen(want));
	}
}

static void agree_everywhere(struct run *r)
{
	struct fs_statfs st;

	for (size_t i = 0; i < r->m.count; i++) {
		struct mnode *n = r->m.nodes[i];

		assert_int_equal(fsfix_getattr(r->f, n->attr.ino), 0);
		agree_reply(r, n);
		if (S_ISREG(n->attr.mode))
			agree_content(r, n, 0, FS_IO_MAX);
		if (S_ISDIR(n->attr.mode) && n->attr.nlink > 0)
			agree_listing(r, n);
		agree_xattrs(r, n);
		for (size_t e = 0; e < n->entry_count; e++) {
			assert_int_equal(fsfix_lookup(r->f, n->attr.ino, n->entries[e].name), 0);
			assert_int_equal(r->f->reply.attr.ino, n->entries[e].node->attr.ino);
		}
	}
	assert_int_equal(fsfix_eval(r->f, (struct fs_request){ .op = FS_STATFS }), 0);
	assert_int_equal(fs_statfs_decode(&st, r->f->reply.data, r->f->reply.data_len), 0);
	assert_int_equal(st.inode_count, r->m.count);
	fsfix_check(r->f);
}

static void step(struct run *r)
{
	static void (*const steps[])(struct run *) = {
		step_lookup,  step_make,   step_make,    step_create,   step_create,
		step_remove,  step_remove, step_link,    step_rename,   step_rename,
		step_write,   step_write,  step_write,   step_read,     step_truncate,
		step_setattr, step_xattr,  step_reclaim, step_allocate, step_allocate,
		step_seek,    step_copy,   step_copy,    step_tmpfile,  step_gathered,
		step_gathered,
	};
	static const size_t stacks[] = { 0, 1, 10, 100 };

	if (r->step % 200 == 0)
		r->f->stack = stacks[below(r, ARRAY_SIZE(stacks))];
	r->f->uid = r->m.uid = below(r, 10) < 7 ? 0 : (uint32_t)below(r, 3);
	r->f->gid = r->m.gid = (uint32_t)below(r, 3);
	/* The clock stands still at times, and goes back. */
	if (below(r, 10) == 0)
		r->f->wall_ns -= (int64_t)below(r, 5000);
	r->m.now = r->f->wall_ns;
	r->f->session_id = 1 + below(r, SESSIONS);
	r->f->no_delegation = below(r, 3) == 0;
	r->f->room_bytes = below(r, 10) == 0 ? 1000000 : UINT64_MAX;
	steps[below(r, ARRAY_SIZE(steps))](r);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void run_steps(struct fsfix *f, uint64_t count)
{
	struct run r = { .f = f };
	uint64_t seed = from_env("SEED", 0x5eed);

	print_message("replay: SEED=0x%llx OPS=%llu\n", (unsigned long long)seed,
		      (unsigned long long)count);
	prng_init(&r.p, seed);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(1 + i % 251);
	model_init(&r.m);
	f->recall = recalled;
	f->recall_ctx = &r;
	r.m.nodes[0]->attr = fsfix_attr(f, FS_ROOT_INO);
	for (r.step = 1; r.step <= count; r.step++) {
		step(&r);
		if (r.step % 500 == 0)
			agree_everywhere(&r);
	}
	fsfix_apply(f);
	agree_everywhere(&r);
	f->recall = NULL;
	model_release(&r.m);
}

static void random_operations_agree_with_the_model(void **state)
{
	run_steps(*state, from_env("OPS", 20000));
}

static void random_operations_agree_on_disk(void **state)
{
	run_steps(*state, from_env("OPS", 20000) / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "random_operations_agree_with_the_model", random_operations_agree_with_the_model,
		  fsfix_setup_memory, fsfix_teardown, NULL },
		{ "random_operations_agree_on_disk", random_operations_agree_on_disk,
		  fsfix_setup_sqlite, fsfix_teardown, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
