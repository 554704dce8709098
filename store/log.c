/*
 * log.c - appending, loading and cutting; recovery is in log_recover.c.
 *
 * An append encodes frames into memory, writes them, syncs once, and only then lets readers see
 * them (publish). When the newest segment has no room for the whole group, a new one is begun if
 * the group fits there, so that a group is one frame wherever possible. A new segment gets its name
 * after its content is durable: a *.seg file with a bad header is therefore always damage, never a
 * crash.
 */
#include "store/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mark.h"

#define SCRATCH_KEEP (4u * 1024u * 1024u)

/* ---- segments, frames, runs in memory ----------------------------------------------------------
 */

void segment_name(uint64_t number, char name[SPARE_NAME_SIZE])
{
	spare_name(number, "seg", name);
}

struct log_segment *log_segment_new(const struct segment_header *h, int fd)
{
	struct log_segment *seg = mem_calloc(1, sizeof(*seg));

	atomic_init(&seg->refs, 1);
	seg->number = h->number;
	memcpy(seg->uuid, h->uuid, sizeof(seg->uuid));
	seg->size_bytes = h->size_bytes;
	seg->frames_before = h->before.last.number;
	seg->fd = fd;
	return seg;
}

void log_segment_unref(struct log_segment *seg)
{
	if (seg == NULL || atomic_fetch_sub(&seg->refs, 1) != 1)
		return;
	close(seg->fd);
	free(seg);
}

/* Room for one more element of *items. */
static void reserve_one(void **items, size_t count, size_t *cap, size_t item_size)
{
	if (count < *cap)
		return;
	*cap = *cap == 0 ? 16 : *cap * 2;
	*items = mem_realloc(*items, *cap * item_size);
}

void store_log_push_segment(struct store_log *log, struct log_segment *seg)
{
	void *items = log->segments;

	reserve_one(&items, log->segment_count, &log->segment_cap, sizeof(struct log_segment *));
	log->segments = items;
	log->segments[log->segment_count++] = seg;
}

static struct log_segment *newest_segment(const struct store_log *log)
{
	return log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
}

static void push_run(struct store_log *log, uint64_t first_index, uint64_t term)
{
	void *items = log->runs;

	if (log->run_count > 0 && log->runs[log->run_count - 1].term == term)
		return;
	reserve_one(&items, log->run_count, &log->run_cap, sizeof(struct log_run));
	log->runs = items;
	log->runs[log->run_count++] = (struct log_run){ .first_index = first_index, .term = term };
}

static void push_conf(struct store_log *log, uint64_t index)
{
	void *items = log->confs;

	reserve_one(&items, log->conf_count, &log->conf_cap, sizeof(log->confs[0]));
	log->confs = items;
	log->confs[log->conf_count++] = index;
}

/* Forgets the entries from index on. */
static void drop_suffix(struct store_log *log, uint64_t index)
{
	while (log->frame_count > 0) {
		struct log_frame *f = &log->frames[log->frame_count - 1];

		if (f->first_index + f->count <= index)
			break;
		if (f->first_index < index) {
			MARK("store.log.frame-cut-in-two");
			f->count = (uint32_t)(index - f->first_index);
			break;
		}
		log->live_bytes -= f->size_bytes;
		log->frame_count--;
	}
	while (log->run_count > 0 && log->runs[log->run_count - 1].first_index >= index)
		log->run_count--;
	while (log->conf_count > 0 && log->confs[log->conf_count - 1] >= index)
		log->conf_count--;
}

void store_log_push_frame(struct store_log *log, const struct log_frame *frame,
			  const struct raft_entry *entries)
{
	void *items;

	drop_suffix(log, frame->first_index);
	items = log->frames;
	reserve_one(&items, log->frame_count, &log->frame_cap, sizeof(struct log_frame));
	log->frames = items;
	log->frames[log->frame_count++] = *frame;
	log->live_bytes += frame->size_bytes;
	for (uint32_t i = 0; i < frame->count; i++) {
		push_run(log, frame->first_index + i, entries[i].term);
		if (entries[i].type == RAFT_ENTRY_CONF)
			push_conf(log, frame->first_index + i);
	}
	log->last_index = frame->first_index + frame->count - 1;
}

void store_log_trim(struct store_log *log, uint64_t index, uint64_t term)
{
	size_t gone = 0;

	while (gone < log->frame_count &&
	       log->frames[gone].first_index + log->frames[gone].count - 1 <= index)
		log->live_bytes -= log->frames[gone++].size_bytes;
	log->frame_count -= gone;
	if (gone > 0)
		memmove(log->frames, log->frames + gone, log->frame_count * sizeof(log->frames[0]));
	gone = 0;
	while (gone < log->run_count &&
	       (gone + 1 < log->run_count ? log->runs[gone + 1].first_index
					  : log->last_index + 1) <= index + 1)
		gone++;
	log->run_count -= gone;
	if (gone > 0)
		memmove(log->runs, log->runs + gone, log->run_count * sizeof(log->runs[0]));
	if (log->run_count > 0 && log->runs[0].first_index <= index)
		log->runs[0].first_index = index + 1;
	gone = 0;
	while (gone < log->conf_count && log->confs[gone] <= index)
		gone++;
	log->conf_count -= gone;
	if (gone > 0)
		memmove(log->confs, log->confs + gone, log->conf_count * sizeof(log->confs[0]));
	log->base_index = index;
	log->base_term = term;
	if (log->last_index < index)
		log->last_index = index;
}

/* ---- figures ------------------------------------------------------------------------------------
 */

static bool term_at_locked(const struct store_log *log, uint64_t index, uint64_t *term)
{
	if (index == log->base_index) {
		*term = log->base_term;
		return true;
	}
	if (index < log->base_index || index > log->last_index)
		return false;
	for (size_t i = log->run_count; i > 0; i--) {
		if (log->runs[i - 1].first_index <= index) {
			*term = log->runs[i - 1].term;
			return true;
		}
	}
	return false;
}

bool store_log_term_at(struct store_log *log, uint64_t index, uint64_t *term)
{
	bool found;

	pthread_mutex_lock(&log->lock);
	found = term_at_locked(log, index, term);
	pthread_mutex_unlock(&log->lock);
	return found;
}

uint64_t store_log_last_index(struct store_log *log)
{
	uint64_t index;

	pthread_mutex_lock(&log->lock);
	index = log->last_index;
	pthread_mutex_unlock(&log->lock);
	return index;
}

uint64_t store_log_live_bytes(struct store_log *log)
{
	uint64_t bytes;

	pthread_mutex_lock(&log->lock);
	bytes = log->live_bytes;
	pthread_mutex_unlock(&log->lock);
	return bytes;
}

uint64_t store_log_bytes_written(struct store_log *log)
{
	return atomic_load(&log->bytes_written) + atomic_load(&log->spares.bytes_written);
}

void store_log_terms(struct store_log *log, struct raft_entry **terms, size_t *count)
{
	pthread_mutex_lock(&log->lock);
	*terms = mem_calloc(log->run_count, sizeof(**terms));
	*count = log->run_count;
	for (size_t i = 0; i < log->run_count; i++)
		(*terms)[i] = (struct raft_entry){ .index = log->runs[i].first_index,
						   .term = log->runs[i].term,
						   .type = RAFT_ENTRY_NORMAL };
	pthread_mutex_unlock(&log->lock);
}

void store_log_confs(struct store_log *log, uint64_t **confs, size_t *count)
{
	pthread_mutex_lock(&log->lock);
	*count = log->conf_count;
	*confs = *count == 0 ? NULL : mem_dup(log->confs, *count * sizeof(log->confs[0]));
	pthread_mutex_unlock(&log->lock);
}

/* ---- append
 * --------------------------------------------------------------------------------------- */

static int write_failed(struct store_log *log, int ret, const char *what, struct err *err)
{
	MARK("store.log.write-failed");
	log->failed = true;
	return err_set(err, ret, "cannot %s log '%s': %s", what, log->path, strerror(-ret));
}

int store_log_check(struct store_log *log, const struct raft_entry *entries, size_t count,
		    struct err *err)
{
	uint64_t first = entries[0].index, term = 0;
	size_t capacity = log->segment_bytes - SEGMENT_HEADER_SIZE;

	if (first <= log->base_index || first > log->pos.index + 1)
		return err_set(err, -EINVAL,
			       "cannot append to log '%s': entry %" PRIu64
			       " does not fit the range %" PRIu64 " to %" PRIu64,
			       log->path, first, log->base_index + 1, log->pos.index + 1);
	if (!store_log_term_at(log, first - 1, &term))
		return err_set(err, -EINVAL,
			       "cannot append to log '%s': no term before entry %" PRIu64,
			       log->path, first);
	for (size_t i = 0; i < count; i++) {
		if (entries[i].index != first + i || entries[i].term < term)
			return err_set(err, -EINVAL,
				       "cannot append to log '%s': entry %" PRIu64
				       " is out of order in index or term",
				       log->path, entries[i].index);
		term = entries[i].term;
		if (frame_size(&entries[i], 1) > capacity)
			return err_set(err, -EFBIG,
				       "cannot append to log '%s': entry %" PRIu64
				       " does not fit a segment of %zu bytes",
				       log->path, entries[i].index, log->segment_bytes);
	}
	return 0;
}

/* How many of the entries fit a frame of room bytes. */
static size_t count_fitting(const struct raft_entry *entries, size_t count, uint64_t room)
{
	uint64_t size = FRAME_HEADER_SIZE;
	size_t n = 0;

	for (; n < count; n++) {
		size += FRAME_ENTRY_HEAD + (entries[n].data != NULL ? entries[n].data->len : 0);
		if (size > room)
			break;
	}
	return n;
}

/* Opens the spare `id`, makes it segment next_segment in everything but its name. */
static int begin_segment(struct store_log *log, uint64_t id, uint64_t first_index)
{
	struct segment_header h = {
		.identity = log->identity,
		.number = log->next_segment,
		.size_bytes = log->segment_bytes,
		.first_index = first_index,
		.before = log->pos,
	};
	uint8_t *block = mem_alloc(SEGMENT_HEADER_SIZE);
	char name[SPARE_NAME_SIZE];
	int fd = -1;
	int ret = log->io->random(h.uuid, sizeof(h.uuid));

	if (ret < 0)
		goto out;
	spare_name(id, "spare", name);
	fd = openat(log->dir_fd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		goto out;
	}
	segment_header_encode(&h, block);
	ret = log->io->pwrite(fd, block, SEGMENT_HEADER_SIZE, 0);
	if (ret < 0)
		goto out;
	atomic_fetch_add(&log->bytes_written, SEGMENT_HEADER_SIZE);
	pthread_mutex_lock(&log->lock);
	store_log_push_segment(log, log_segment_new(&h, fd));
	pthread_mutex_unlock(&log->lock);
	fd = -1;
	log->fresh = true;
	log->fresh_id = id;
	log->tail_synced = false;
	log->next_segment++;
	log->append_offset = SEGMENT_HEADER_SIZE;
out:
	if (fd >= 0)
		close(fd);
	free(block);
	return ret;
}

/* Makes everything in the newest segment durable, then its name. */
static int sync_newest(struct store_log *log)
{
	struct log_segment *seg = newest_segment(log);
	char from[SPARE_NAME_SIZE], to[SPARE_NAME_SIZE];
	int ret;

	if (seg == NULL || log->tail_synced)
		return 0;
	ret = log->io->fdatasync(seg->fd);
	if (ret == 0 && log->fresh) {
		spare_name(log->fresh_id, "spare", from);
		segment_name(seg->number, to);
		ret = log->io->rename(log->dir_fd, from, to);
		if (ret == 0)
			ret = log->io->fsync_dir(log->dir_fd);
		log->fresh = false;
	}
	log->tail_synced = ret == 0;
	return ret;
}

/* Writes one frame at the end of the newest segment; *frame is what publish() needs. */
static int write_frame(struct store_log *log, const struct raft_entry *entries, size_t count,
		       struct log_frame *frame)
{
	struct log_segment *seg = newest_segment(log);
	struct frame_header h = {
		.group = log->identity.group,
		.offset = log->append_offset,
		.number = log->pos.last.number + 1,
		.synced_frame = log->synced_frame,
		.previous = log->pos.last,
	};
	int ret;

	memcpy(h.uuid, seg->uuid, sizeof(h.uuid));
	memcpy(h.chain, log->pos.chain, sizeof(h.chain));
	buf_reset(&log->scratch);
	frame_encode(&h, entries, count, &log->scratch);
	assert(log->append_offset + log->scratch.len <= seg->size_bytes);
	log->tail_synced = false;
	ret = log->io->pwrite(seg->fd, log->scratch.data, log->scratch.len, (off_t)h.offset);
	if (ret < 0)
		return ret;
	atomic_fetch_add(&log->bytes_written, log->scratch.len);
	*frame = (struct log_frame){
		.segment = seg,
		.offset = h.offset,
		.first_index = h.first_index,
		.count = h.count,
		.size_bytes = h.size_bytes,
		.payload_checksum = { h.payload_checksum[0], h.payload_checksum[1] },
	};
	log->append_offset += h.size_bytes;
	log->pos.index = entries[count - 1].index;
	log->pos.term = h.last_term;
	memcpy(log->pos.chain, h.chain, sizeof(h.chain));
	log->pos.last = frame_id_of(&h, seg->number);
	if (log->scratch.cap > SCRATCH_KEEP)
		buf_release(&log->scratch);
	return 0;
}

/* Begins a new segment when what is left of the newest one is no good place for these entries. */
static int make_room(struct store_log *log, const struct raft_entry *entries, size_t count,
		     bool started, bool *rolled, struct err *err)
{
	struct log_segment *seg = newest_segment(log);
	uint64_t room = seg == NULL ? 0 : seg->size_bytes - log->append_offset;
	uint64_t want = frame_size(entries, count), id = 0;
	int ret;

	if (want <= room)
		return 0;
	if (want > log->segment_bytes - SEGMENT_HEADER_SIZE &&
	    count_fitting(entries, 1, room) == 1) {
		MARK("store.log.group-split");
		return 0; /* it must be split anyway: fill this one first */
	}
	ret = spares_take(&log->spares, &id);
	if (ret < 0) {
		MARK_IF(ret == -ENOSPC && !started, "store.log.no-space-before-write");
		MARK_IF(ret == -ENOSPC && started, "store.log.no-space-midway");
		/* Without space and before the first frame nothing has happened yet. */
		log->failed = log->failed || started || ret != -ENOSPC;
		return err_set(err, ret, "cannot make a segment for log '%s': %s", log->path,
			       strerror(-ret));
	}
	ret = sync_newest(log); /* a segment exists only when all before it is durable */
	if (ret == 0) {
		log->synced_frame = log->pos.last.number;
		ret = begin_segment(log, id, entries[0].index);
	}
	if (ret < 0)
		return write_failed(log, ret, "begin a segment of", err);
	MARK("store.log.segment-begun");
	*rolled = true;
	return 0;
}

/* Lets readers see what is durable now. */
static void publish(struct store_log *log, const struct log_frame *frames, size_t frame_count,
		    const struct raft_entry *entries)
{
	size_t at = 0;

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < frame_count; i++) {
		store_log_push_frame(log, &frames[i], entries + at);
		at += frames[i].count;
	}
	assert(log->last_index == log->pos.index);
	pthread_mutex_unlock(&log->lock);
}

int store_log_append(struct store_log *log, const struct raft_entry *entries, size_t count,
		     bool *rolled, struct err *err)
{
	struct log_frame *frames = NULL;
	size_t frame_count = 0, frame_cap = 0, done = 0;
	int ret = 0;

	while (ret == 0 && done < count) {
		struct log_segment *seg;
		void *items = frames;
		size_t n;

		ret = make_room(log, entries + done, count - done, done > 0, rolled, err);
		if (ret < 0)
			break;
		seg = newest_segment(log);
		n = count_fitting(entries + done, count - done,
				  seg->size_bytes - log->append_offset);
		assert(n > 0);
		reserve_one(&items, frame_count, &frame_cap, sizeof(*frames));
		frames = items;
		ret = write_frame(log, entries + done, n, &frames[frame_count]);
		if (ret < 0)
			write_failed(log, ret, "write to", err);
		frame_count++;
		done += n;
	}
	if (ret == 0) {
		ret = sync_newest(log);
		if (ret < 0)
			write_failed(log, ret, "sync", err);
	}
	if (ret == 0) {
		log->synced_frame = log->pos.last.number;
		publish(log, frames, frame_count, entries);
		if (log->append_offset > newest_segment(log)->size_bytes / 2)
			spares_ask(&log->spares);
	}
	free(frames);
	return ret;
}

/* ---- cut
 * ------------------------------------------------------------------------------------------ */

void store_log_plan_cut(struct store_log *log, uint64_t index, struct log_roots *roots)
{
	struct log_segment *keep = newest_segment(log);
	bool known;

	pthread_mutex_lock(&log->lock);
	known = term_at_locked(log, index, &roots->base_term);
	assert(known);
	roots->base_index = index;
	roots->synced_frame = log->synced_frame;
	roots->first_segment = log->next_segment;
	roots->frames_before = log->pos.last.number;
	/* Segments go from the oldest on, so the lowest one that holds a live entry stops the cut.
	 */
	for (size_t i = 0; i < log->frame_count; i++) {
		const struct log_frame *f = &log->frames[i];

		if (f->first_index + f->count - 1 > index && f->segment->number < keep->number)
			keep = f->segment;
	}
	if (keep != NULL) {
		roots->first_segment = keep->number;
		roots->frames_before = keep->frames_before;
	}
	pthread_mutex_unlock(&log->lock);
}

void store_log_plan_reset(struct store_log *log, uint64_t index, uint64_t term,
			  struct log_roots *roots)
{
	*roots = (struct log_roots){
		.base_index = index,
		.base_term = term,
		.first_segment = log->next_segment,
		.frames_before = log->pos.last.number,
		.synced_frame = log->pos.last.number,
	};
}

/* Turns a dead segment into a spare, or removes it. */
static int retire_segment(struct store_log *log, struct log_segment *seg)
{
	char name[SPARE_NAME_SIZE], spare[SPARE_NAME_SIZE];
	uint64_t id;
	int ret;

	segment_name(seg->number, name);
	/* A reader may still hold it: then its bytes must stay, and only the name goes. */
	if (seg->size_bytes != log->segment_bytes || atomic_load(&seg->refs) != 1 ||
	    !spares_reserve(&log->spares, &id)) {
		MARK_IF(atomic_load(&seg->refs) != 1, "store.log.cut-under-reader");
		return log->io->unlink(log->dir_fd, name);
	}
	MARK("store.log.segment-recycled");
	spare_name(id, "spare", spare);
	ret = log->io->rename(log->dir_fd, name, spare);
	if (ret == 0)
		spares_add(&log->spares, id);
	return ret;
}

/* Takes the dead segments out of the log; the caller owns the array and its references. */
static struct log_segment **detach_segments(struct store_log *log, const struct log_roots *roots,
					    size_t *count)
{
	struct log_segment **dead;

	pthread_mutex_lock(&log->lock);
	*count = 0;
	while (*count < log->segment_count && log->segments[*count]->number < roots->first_segment)
		++*count;
	dead = mem_dup(log->segments, *count * sizeof(*dead));
	log->segment_count -= *count;
	if (*count > 0 && log->segment_count > 0)
		memmove(log->segments, log->segments + *count, log->segment_count * sizeof(*dead));
	MARK_IF(log->segment_count == 0, "store.log.reset");
	if (log->segment_count == 0) { /* reset: nothing of the log stays */
		log->frame_count = 0;
		log->run_count = 0;
		log->conf_count = 0;
		log->live_bytes = 0;
		log->last_index = roots->base_index;
	}
	store_log_trim(log, roots->base_index, roots->base_term);
	pthread_mutex_unlock(&log->lock);
	return dead;
}

int store_log_carry_out(struct store_log *log, const struct log_roots *roots, struct err *err)
{
	size_t count = 0;
	struct log_segment **dead = detach_segments(log, roots, &count);
	int ret = 0;

	if (log->segment_count == 0) {
		log->pos.index = roots->base_index;
		log->pos.term = roots->base_term;
		memset(log->pos.chain, 0, sizeof(log->pos.chain));
		log->append_offset = 0;
		log->tail_synced = true;
	}
	/* Oldest first: what a crash leaves is always a tail without gaps. */
	for (size_t i = 0; i < count; i++) {
		if (ret == 0)
			ret = retire_segment(log, dead[i]);
		log_segment_unref(dead[i]);
	}
	free(dead);
	if (ret == 0 && count > 0)
		ret = log->io->fsync_dir(log->dir_fd);
	if (ret < 0)
		return write_failed(log, ret, "remove old segments of", err);
	return 0;
}

/* ---- load
 * ----------------------------------------------------------------------------------------- */

/* Copies the frames that hold lo..hi, up to about max_bytes, with a reference on each segment. */
static size_t pick_frames(struct store_log *log, uint64_t lo, uint64_t hi, size_t max_bytes,
			  struct log_frame **picked)
{
	size_t first = 0, end = log->frame_count, count = 0;
	uint64_t bytes = 0;

	while (first < end) { /* the first frame that ends at lo or later */
		size_t mid = first + (end - first) / 2;

		if (log->frames[mid].first_index + log->frames[mid].count <= lo)
			first = mid + 1;
		else
			end = mid;
	}
	while (first + count < log->frame_count && log->frames[first + count].first_index <= hi &&
	       (count == 0 || bytes < max_bytes)) {
		/* lo may lie anywhere in the first frame: it does not count. */
		bytes += count == 0 ? 0 : log->frames[first + count].size_bytes;
		count++;
	}
	*picked = mem_dup(log->frames + first, count * sizeof(**picked));
	for (size_t i = 0; i < count; i++)
		atomic_fetch_add(&(*picked)[i].segment->refs, 1);
	return count;
}

struct load {
	uint64_t lo, hi;
	size_t max_bytes, bytes;
	struct raft_entry *entries;
	size_t count, cap;
	bool full;
};

/* Adds the entries of one frame's payload; -EUCLEAN when it is not what the frame says. */
static int load_entries(struct load *l, const struct log_frame *f, struct cursor payload)
{
	for (uint32_t i = 0; i < f->count; i++) {
		struct frame_entry e;
		void *items = l->entries;

		if (frame_next_entry(&payload, &e) < 0 || e.index != f->first_index + i)
			return -EUCLEAN;
		if (e.index < l->lo)
			continue;
		l->full = e.index > l->hi || (l->count > 0 && l->bytes + e.len > l->max_bytes);
		if (l->full)
			return 0;
		reserve_one(&items, l->count, &l->cap, sizeof(*l->entries));
		l->entries = items;
		l->entries[l->count++] = (struct raft_entry){
			.index = e.index,
			.term = e.term,
			.type = e.type,
			.data = e.len > 0 ? blob_from(e.data, e.len) : NULL,
		};
		l->bytes += e.len;
	}
	return 0;
}

static int load_frame(struct load *l, const struct log_frame *f, const char *path, struct err *err)
{
	size_t len = f->size_bytes - FRAME_HEADER_SIZE;
	uint8_t *payload = mem_alloc(len);
	int ret =
		io_pread_all(f->segment->fd, payload, len, (off_t)(f->offset + FRAME_HEADER_SIZE));

	if (ret == 0 && !frame_payload_valid(payload, len, f->payload_checksum))
		ret = -EUCLEAN;
	if (ret == 0)
		ret = load_entries(l, f, cursor_init(payload, len));
	free(payload);
	MARK_IF(ret == -EUCLEAN, "store.log.load-damaged");
	if (ret == -EUCLEAN || ret == -ENODATA)
		return err_set(err, -EUCLEAN,
			       "cannot load entries from log '%s': segment %" PRIu64
			       " at offset %" PRIu64 " fails its checksum",
			       path, f->segment->number, f->offset);
	if (ret < 0)
		return err_set(err, ret, "cannot load entries from log '%s': %s", path,
			       strerror(-ret));
	return 0;
}

void store_entries_free(struct raft_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blob_unref(entries[i].data);
	free(entries);
}

int store_log_load(struct store_log *log, uint64_t lo, uint64_t hi, size_t max_bytes,
		   struct raft_entry **entries, size_t *count, struct err *err)
{
	struct load l = { .lo = lo, .hi = hi, .max_bytes = max_bytes };
	struct log_frame *picked = NULL;
	uint64_t base, last;
	size_t n = 0;
	int ret = 0;

	pthread_mutex_lock(&log->lock);
	base = log->base_index;
	last = log->last_index;
	if (lo > base && lo <= last && lo <= hi)
		n = pick_frames(log, lo, hi, max_bytes, &picked);
	pthread_mutex_unlock(&log->lock);
	MARK_IF(lo <= base, "store.log.load-below-base");
	if (lo <= base)
		ret = err_set(err, -ENOENT,
			      "cannot load entry %" PRIu64 " from log '%s': it begins at %" PRIu64,
			      lo, log->path, base + 1);
	else if (n == 0)
		ret = err_set(err, -EINVAL,
			      "cannot load entry %" PRIu64 " from log '%s': it ends at %" PRIu64,
			      lo, log->path, last);
	for (size_t i = 0; i < n; i++) {
		if (ret == 0 && !l.full)
			ret = load_frame(&l, &picked[i], log->path, err);
		log_segment_unref(picked[i].segment);
	}
	free(picked);
	if (ret < 0) {
		store_entries_free(l.entries, l.count);
		return ret;
	}
	*entries = l.entries;
	*count = l.count;
	return 0;
}
