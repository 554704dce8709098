/*
 * fuzz_log.c - recovery of a log whose last segment ends in any way: frames torn, damaged, missing, from
 * another life of the file, replacing what came before, with a floor of what was durable.
 *
 * Input: what each frame holds and what befell it, then the superblock's floor. The target knows what
 * recovery has to say (docs/formats.md, Frame): damage when a durable frame is lost, else exactly the
 * entries of the frames before the first that is no good.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "store/log.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES_MAX 14
#define ENTRIES_MAX 48u
#define FRAME_ENTRIES_MAX 4u

static const struct store_identity identity = { .cluster = { 5 }, .node_id = 1 };
static const uint8_t uuid[16] = { 6 };

enum fate {
	FATE_GOOD,
	FATE_HEADER,  /* a byte of the header is another one */
	FATE_PAYLOAD, /* ... of the payload */
	FATE_MISSING, /* never reached the disk */
	FATE_HALF,    /* only its first sector did */
	FATE_UUID,    /* of the file's life before */
	FATE_NUMBER,  /* its number is not the next one */
	FATE_CHAIN,   /* it continues another log */
	FATE_COUNT,
};

struct world {
	uint8_t bytes[SEGMENT_SIZE_MIN];
	size_t end;
	struct log_position pos; /* as the node that wrote all this saw it */
	/* What can be read back: */
	uint64_t terms[ENTRIES_MAX + 1];
	uint64_t last_index;
	uint64_t good_frames;
	bool broken; /* a frame is no good: nothing behind it counts */
	uint64_t
		synced_seen; /* the highest frame that a readable header behind the gap calls durable */
};

/* ---- the segment ---- */

static void put_header(struct world *w)
{
	struct segment_header h = {
		.identity = identity,
		.number = 1,
		.size_bytes = SEGMENT_SIZE_MIN,
		.first_index = 1,
	};

	memcpy(h.uuid, uuid, sizeof(h.uuid));
	memset(w, 0, sizeof(*w));
	segment_header_encode(&h, w->bytes);
	w->end = SEGMENT_HEADER_SIZE;
}

/* Returns whether the frame is good all the same. */
static bool befall(uint8_t *frame, enum fate fate, size_t len, struct cursor *c)
{
	switch (fate) {
	case FATE_HEADER:
		frame[cursor_u8(c)] ^= (uint8_t)(1 + cursor_u8(c) % 255);
		return false;
	case FATE_PAYLOAD:
		frame[FRAME_HEADER_SIZE + cursor_le16(c) % (len - FRAME_HEADER_SIZE)] ^= 1;
		return false;
	case FATE_MISSING:
		memset(frame, 0, len);
		return false;
	case FATE_HALF:
		memset(frame + FRAME_ALIGN, 0, len - FRAME_ALIGN);
		return len == FRAME_ALIGN;
	default:
		return fate == FATE_GOOD;
	}
}

/* Does the header still say where it is, so that a search finds it? */
static bool readable(enum fate fate)
{
	return fate != FATE_HEADER && fate != FATE_MISSING && fate != FATE_UUID;
}

/* Entries from one to three before the end on, or at it; what replaces others is of a later term. */
static size_t take_entries(const struct world *w, uint8_t shape, struct raft_entry *v)
{
	static uint8_t fill[400];
	uint64_t back = min_u64(shape >> 2 & 3, w->pos.index);
	uint64_t term = w->pos.term + (w->pos.term == 0 || back > 0 || shape & 16);
	size_t count = 1 + shape % FRAME_ENTRIES_MAX;

	memset(fill, 'e', sizeof(fill));
	for (size_t i = 0; i < count; i++)
		v[i] = (struct raft_entry){
			.index = w->pos.index + 1 - back + i,
			.term = term,
			.type = RAFT_ENTRY_NORMAL,
			.data = shape & 32 ? blob_from(fill, shape & 64 ? sizeof(fill) : 5) : NULL,
		};
	return count;
}

static void note_frame(struct world *w, const struct frame_header *h, const struct raft_entry *v,
		       size_t count)
{
	for (size_t i = 0; i < count; i++)
		w->terms[v[i].index] = v[i].term;
	w->last_index = v[count - 1].index;
	w->good_frames = h->number;
}

static void write_frame(struct world *w, const struct raft_entry *v, size_t count, struct cursor *c)
{
	enum fate fate = cursor_u8(c) % FATE_COUNT;
	struct frame_header h = {
		.offset = w->end,
		.number = w->pos.last.number + 1 + (fate == FATE_NUMBER),
		.previous = w->pos.last,
	};
	struct buf out = BUF_INIT;

	h.synced_frame = h.number - 1 - min_u64(cursor_u8(c) % 4, h.number - 1);
	memcpy(h.uuid, uuid, sizeof(h.uuid));
	memcpy(h.chain, w->pos.chain, sizeof(h.chain));
	h.uuid[0] ^= fate == FATE_UUID;
	h.chain[0] ^= fate == FATE_CHAIN;
	frame_encode(&h, v, count, &out);
	memcpy(w->bytes + w->end, out.data, out.len);
	if (!befall(w->bytes + w->end, fate, out.len, c))
		w->broken = true;
	if (!w->broken)
		note_frame(w, &h, v, count);
	else if (readable(fate))
		w->synced_seen = max_u64(w->synced_seen, h.synced_frame);
	/* The node went on as if nothing had happened. */
	w->pos.index = v[count - 1].index;
	w->pos.term = h.last_term;
	memcpy(w->pos.chain, h.chain, sizeof(h.chain));
	w->pos.last = frame_id_of(&h, 1);
	w->end += out.len;
	buf_release(&out);
}

static bool put_frame(struct world *w, struct cursor *c)
{
	struct raft_entry v[FRAME_ENTRIES_MAX];
	size_t count = take_entries(w, cursor_u8(c), v);
	bool fits = v[count - 1].index <= ENTRIES_MAX &&
		    w->end + frame_size(v, count) <= sizeof(w->bytes);

	if (fits)
		write_frame(w, v, count, c);
	for (size_t i = 0; i < count; i++)
		blob_unref(v[i].data);
	return fits;
}

/* ---- recovery ---- */

/* One file in one directory, kept open; tests/run removes TMPDIR afterwards. */
static int write_segment(const struct world *w)
{
	static int dir_fd = -1, fd = -1;
	char path[200], name[SPARE_NAME_SIZE];
	const char *tmp = getenv("TMPDIR");

	if (dir_fd < 0) {
		snprintf(path, sizeof(path), "%.100s/quorumfs-fuzz-log-XXXXXX", tmp ? tmp : "/tmp");
		segment_name(1, name);
		if (!mkdtemp(path))
			abort();
		dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	if (fd < 0 || io_pwrite_all(fd, w->bytes, sizeof(w->bytes), 0) < 0)
		abort();
	return dir_fd;
}

static int open_log(struct store_log **log, int dir_fd, uint64_t synced_frame)
{
	struct log_roots roots = { .first_segment = 1, .synced_frame = synced_frame };
	struct store_options options = { .segment_bytes = SEGMENT_SIZE_MIN, .spare_segments = 1 };

	return store_log_open(log, dir_fd, "log", &identity, &roots, &options, &store_io_posix,
			      NULL);
}

static void check_entries(struct store_log *log, const struct world *w)
{
	struct raft_entry *v = NULL;
	size_t count = 0;
	uint64_t term;

	assert(store_log_last_index(log) == w->last_index);
	for (uint64_t i = 1; i <= w->last_index; i++)
		assert(store_log_term_at(log, i, &term) && term == w->terms[i]);
	if (w->last_index == 0)
		return;
	if (store_log_load(log, 1, w->last_index, SIZE_MAX, &v, &count, NULL) < 0)
		abort();
	assert(count == w->last_index);
	for (size_t i = 0; i < count; i++)
		assert(v[i].index == i + 1 && v[i].term == w->terms[i + 1]);
	store_entries_free(v, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct cursor c = cursor_init(data, size);
	uint64_t floor = cursor_u8(&c) % FRAMES_MAX;
	bool start = cursor_u8(&c) % 64 == 0;
	struct store_log *log = NULL;
	int dir_fd, ret;

	log_set_level(LOG_NONE);
	put_header(&w);
	for (int i = 0; i < FRAMES_MAX && cursor_left(&c) > 0; i++)
		if (!put_frame(&w, &c))
			break;
	/* No floor promises more than was written. */
	floor = min_u64(floor, w.pos.last.number);
	dir_fd = write_segment(&w);
	ret = open_log(&log, dir_fd, floor);
	if (max_u64(floor, w.synced_seen) > w.good_frames) {
		assert(ret == -EUCLEAN);
		return 0;
	}
	assert(ret == 0);
	check_entries(log, &w);
	/* Going on wipes what was torn: the next recovery sees a clean end. Dear, so only now and then. */
	if (start && store_log_start(log, NULL) < 0)
		abort();
	store_log_close(log);
	if (start) {
		ret = open_log(&log, dir_fd, floor);
		assert(ret == 0 && !log->torn);
		check_entries(log, &w);
		store_log_close(log);
	}
	return 0;
}
