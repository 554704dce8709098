/*
 * log_recover.c - making a log, and reading one back: what is durable, what is torn, what is
 * damaged.
 *
 * Segments are replayed in order. Where a frame is no good, one of these holds:
 *
 *   not in the newest segment                        damage: a segment is begun only when all
 * before it is durable, and its header says what came last a later frame's synced_frame covers it
 * damage the superblock's floor covers it                 damage else torn: never acknowledged,
 * left out
 *
 * The caller adds one more floor, the state's applied index (log->torn_index). Damage is reported
 * and nothing is changed; only store_log_start() writes. Leftovers of a recycled file bear another
 * uuid and count as nothing, so the rule "zeros to the end" of a fresh segment is not needed.
 */
#include "store/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mark.h"

#define SEARCH_STEP (1024u * 1024u)

/* ---- create
 * ---------------------------------------------------------------------------------------- */

static int write_first_segment(int fd, const struct store_identity *identity,
			       const struct raft_entry *entry, const struct store_io *io)
{
	struct segment_header sh = {
		.identity = *identity,
		.number = 1,
		.size_bytes = LOG_SEGMENT_FIRST,
		.first_index = entry->index,
		.before = { .index = entry->index - 1 },
	};
	struct frame_header fh = { .group = identity->group,
				   .offset = SEGMENT_HEADER_SIZE,
				   .number = 1 };
	struct buf out = BUF_INIT;
	int ret = io->random(sh.uuid, sizeof(sh.uuid));

	if (ret == 0) {
		memcpy(fh.uuid, sh.uuid, sizeof(fh.uuid));
		buf_put_zeros(&out, SEGMENT_HEADER_SIZE);
		segment_header_encode(&sh, out.data);
		frame_encode(&fh, entry, 1, &out);
		buf_resize(&out, LOG_SEGMENT_FIRST);
		ret = io->pwrite(fd, out.data, out.len, 0);
	}
	if (ret == 0)
		ret = io->fdatasync(fd);
	buf_release(&out);
	return ret;
}

int store_log_create(int dir_fd, const struct store_identity *identity,
		     const struct raft_entry *entry, const struct store_io *io, struct err *err)
{
	char name[SPARE_NAME_SIZE];
	int fd, ret;

	assert(entry->index == 1 &&
	       frame_size(entry, 1) <= LOG_SEGMENT_FIRST - SEGMENT_HEADER_SIZE);
	segment_name(1, name);
	fd = io->create(dir_fd, name);
	ret = fd < 0 ? fd : write_first_segment(fd, identity, entry, io);
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		ret = io->fsync_dir(dir_fd);
	if (ret < 0)
		return err_set(err, ret, "cannot write log segment '%s': %s", name, strerror(-ret));
	return 0;
}

/* ---- the directory
 * ----------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* "<16 hex digits>.<suffix>" */
static bool parse_name(const char *name, const char *suffix, uint64_t *number)
{
	char again[SPARE_NAME_SIZE], *end;
	uint64_t n;

	errno = 0;
	n = strtoull(name, &end, 16);
	if (errno != 0 || *end != '.')
		return false;
	spare_name(n, suffix, again);
	if (strcmp(again, name) != 0)
		return false;
	*number = n;
	return true;
}

static DIR *open_dir(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* Numbers of all files with this suffix, ascending, as little-endian words in out. */
static int list_files(int dir_fd, const char *suffix, uint64_t **numbers, size_t *count)
{
	DIR *dir = open_dir(dir_fd);
	struct dirent *d;
	size_t cap = 16;
	int ret;

	if (dir == NULL)
		return -errno;
	*numbers = mem_calloc(cap, sizeof(**numbers));
	*count = 0;
	while (errno = 0, (d = readdir(dir)) != NULL) {
		if (!parse_name(d->d_name, suffix, &(*numbers)[*count]))
			continue;
		if (++*count == cap)
			*numbers = mem_realloc(*numbers, (cap *= 2) * sizeof(**numbers));
	}
	ret = -errno;
	closedir(dir);
	if (ret < 0) {
		free(*numbers);
		*numbers = NULL; /* callers free what they were given, whatever the result */
	} else {
		qsort(*numbers, *count, sizeof(**numbers), compare_u64);
	}
	return ret;
}

/* ---- replay
 * -------------------------------------------------------------------------------------------- */

static int damaged(const struct store_log *log, struct err *err, uint64_t segment, uint64_t offset,
		   const char *why)
{
	err_set(err, -EUCLEAN,
		"cannot read log '%s': segment %016" PRIx64 ".seg at offset %" PRIu64 ": %s",
		log->path, segment, offset, why);
	err_advise(err,
		   "nothing was changed here; a majority of other nodes goes on without this one",
		   "cp -a %s %s.damaged", log->path, log->path);
	return -EUCLEAN;
}

static int open_segment(struct store_log *log, uint64_t number, struct segment_header *h, int *fd,
			struct err *err)
{
	uint8_t *block = mem_alloc(SEGMENT_HEADER_SIZE);
	char name[SPARE_NAME_SIZE];
	struct stat st;
	int ret = 0;

	segment_name(number, name);
	*fd = openat(log->dir_fd, name, O_RDWR | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		ret = -errno;
	if (ret == 0)
		ret = io_pread_all(*fd, block, SEGMENT_HEADER_SIZE, 0);
	if (ret < 0 && ret != -ENODATA) {
		err_set(err, ret, "cannot read log segment '%s/%s': %s", log->path, name,
			strerror(-ret));
		goto out;
	}
	if (ret < 0 || segment_header_decode(h, block) < 0) {
		MARK("store.recover.segment-header-damaged");
		ret = damaged(log, err, number, 0, "its header fails its checksum");
	} else if (memcmp(h->identity.cluster, log->identity.cluster, 16) != 0 ||
		   h->identity.group != log->identity.group) {
		MARK("store.recover.segment-foreign");
		ret = damaged(log, err, number, 0, "it belongs to another cluster or group");
	} else if (h->number != number || (uint64_t)st.st_size < h->size_bytes) {
		MARK("store.recover.segment-misplaced");
		ret = damaged(log, err, number, 0,
			      "its number or size is not what its header says");
	}
out:
	if (ret < 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	free(block);
	return ret;
}

/* The entries of a payload without their data; NULL when it is not what the header says. */
static struct raft_entry *payload_entries(const struct frame_header *h, const uint8_t *payload,
					  size_t len)
{
	struct cursor c = cursor_init(payload, len);
	struct raft_entry *entries = mem_calloc(h->count, sizeof(*entries));
	struct frame_entry e;

	for (uint32_t i = 0; i < h->count; i++) {
		if (frame_next_entry(&c, &e) < 0 || e.index != h->first_index + i ||
		    (i > 0 && e.term < entries[i - 1].term)) {
			free(entries);
			return NULL;
		}
		entries[i] = (struct raft_entry){ .index = e.index, .term = e.term, .type = e.type };
	}
	if (entries[h->count - 1].term != h->last_term) {
		free(entries);
		return NULL;
	}
	return entries;
}

enum replay { REPLAY_FRAME, REPLAY_STOP };

/*
 * Reads the frame at append_offset. REPLAY_FRAME: taken in. REPLAY_STOP: none that continues the
 * log; torn and torn_index tell whether there are traces of one. Negative: it cannot be read.
 */
static int replay_frame(struct store_log *log, struct log_segment *seg)
{
	uint8_t head[FRAME_HEADER_SIZE], *payload = NULL;
	struct raft_entry *entries = NULL;
	struct frame_header h;
	size_t len;
	int ret;

	log->torn = false;
	if (log->append_offset + FRAME_ALIGN > seg->size_bytes) {
		MARK("store.recover.segment-full-to-the-end");
		return REPLAY_STOP;
	}
	ret = io_pread_all(seg->fd, head, sizeof(head), (off_t)log->append_offset);
	if (ret < 0)
		return ret;
	log->torn = frame_resembles(head, seg->uuid, log->pos.last.number + 1);
	log->torn_index = log->pos.index + 1;
	MARK_IF(!log->torn && load_le64(head) != 0, "store.recover.leftover-of-recycled-segment");
	MARK_IF(log->torn && frame_header_decode(&h, head) < 0, "store.recover.frame-header-torn");
	if (frame_header_decode(&h, head) < 0 || memcmp(h.uuid, seg->uuid, sizeof(h.uuid)) != 0 ||
	    h.offset != log->append_offset || h.offset + h.size_bytes > seg->size_bytes ||
	    h.group != log->identity.group || !frame_links(&h, head, &log->pos) ||
	    h.first_index > log->pos.index + 1)
		return REPLAY_STOP;
	log->torn_index = h.first_index;
	len = h.size_bytes - FRAME_HEADER_SIZE;
	payload = mem_alloc(len);
	ret = io_pread_all(seg->fd, payload, len, (off_t)(h.offset + FRAME_HEADER_SIZE));
	if (ret == 0 && frame_payload_valid(payload, len, h.payload_checksum))
		entries = payload_entries(&h, payload, len);
	free(payload);
	MARK_IF(ret == 0 && entries == NULL, "store.recover.frame-payload-torn");
	if (ret < 0 || entries == NULL)
		return ret < 0 ? ret : REPLAY_STOP;

	MARK_IF(h.first_index <= log->last_index, "store.recover.frame-replaces-suffix");
	if (h.first_index <= log->base_index) /* until base is known: where frames[] begins */
		store_log_trim(log, h.first_index - 1, 0);
	store_log_push_frame(log,
			     &(struct log_frame){ .segment = seg,
						  .offset = h.offset,
						  .first_index = h.first_index,
						  .count = h.count,
						  .size_bytes = h.size_bytes,
						  .payload_checksum = { h.payload_checksum[0],
									h.payload_checksum[1] } },
			     entries);
	free(entries);
	log->append_offset += h.size_bytes;
	log->pos.index = log->last_index;
	log->pos.term = h.last_term;
	memcpy(log->pos.chain, h.chain, sizeof(h.chain));
	log->pos.last = frame_id_of(&h, seg->number);
	log->torn = false;
	return REPLAY_FRAME;
}

static int replay_segment(struct store_log *log, uint64_t number, const struct log_roots *roots,
			  struct err *err)
{
	struct log_segment *seg;
	struct segment_header h;
	int fd = -1;
	int ret = open_segment(log, number, &h, &fd, err);

	if (ret < 0)
		return ret;
	seg = log_segment_new(&h, fd);
	if (log->segment_count == 0) {
		log->pos = h.before;
		log->base_index = log->last_index = h.before.index;
		if (h.before.last.number != roots->frames_before) {
			MARK("store.recover.frames-before-missing");
			ret = damaged(log, err, number, 0, "frames before it are missing");
		}
	} else if (h.before.last.number != log->pos.last.number ||
		   memcmp(h.before.chain, log->pos.chain, sizeof(log->pos.chain)) != 0) {
		MARK("store.recover.older-segment-damaged");
		ret = damaged(log, err, log->segments[log->segment_count - 1]->number,
			      log->append_offset,
			      "a frame is damaged that was durable before the next segment began");
	}
	store_log_push_segment(log, seg);
	log->append_offset = SEGMENT_HEADER_SIZE;
	if (ret < 0)
		return ret;
	do
		ret = replay_frame(log, seg);
	while (ret == REPLAY_FRAME);
	if (ret < 0)
		return err_set(err, ret, "cannot read log segment %016" PRIx64 ".seg of '%s': %s",
			       number, log->path, strerror(-ret));
	return 0;
}

/* ---- the tail
 * -------------------------------------------------------------------------------------------- */

/* What is found behind the last good frame of the newest segment. */
struct search {
	bool found;            /* at least one whole frame header of this segment */
	uint64_t synced_frame; /* the highest that any of them names */
	struct frame_id lost; /* the frame right after the last good one, if a later one names it */
};

static void search_header(const struct store_log *log, const struct log_segment *seg,
			  const uint8_t *head, uint64_t offset, struct search *s)
{
	struct frame_header h;

	if (frame_header_decode(&h, head) < 0 || memcmp(h.uuid, seg->uuid, sizeof(h.uuid)) != 0 ||
	    h.offset != offset)
		return;
	MARK("store.recover.frame-behind-gap");
	s->found = true;
	s->synced_frame = max_u64(s->synced_frame, h.synced_frame);
	if (h.previous.number == log->pos.last.number + 1)
		s->lost = h.previous;
}

static int search_tail(const struct store_log *log, const struct log_segment *seg, struct search *s)
{
	uint8_t *chunk = mem_alloc((size_t)min_u64(SEARCH_STEP, seg->size_bytes));
	int ret = 0;

	*s = (struct search){ .found = false };
	for (uint64_t off = log->append_offset; off < seg->size_bytes && ret == 0;
	     off += SEARCH_STEP) {
		size_t len = (size_t)min_u64(SEARCH_STEP, seg->size_bytes - off);

		ret = io_pread_all(seg->fd, chunk, len, (off_t)off);
		for (size_t i = 0; ret == 0 && i + FRAME_ALIGN <= len; i += FRAME_ALIGN)
			search_header(log, seg, chunk + i, off + i, s);
	}
	free(chunk);
	return ret;
}

/* Tells a torn tail from a damaged one. */
static int judge_tail(struct store_log *log, const struct log_roots *roots, struct err *err)
{
	struct log_segment *seg = log->segments[log->segment_count - 1];
	uint64_t missing = log->pos.last.number + 1;
	struct search s;
	char why[200];
	int ret = search_tail(log, seg, &s);

	if (ret < 0)
		return err_set(err, ret, "cannot read log segment %016" PRIx64 ".seg of '%s': %s",
			       seg->number, log->path, strerror(-ret));
	log->torn = log->torn || s.found;
	if (s.synced_frame < missing && roots->synced_frame < missing) {
		MARK_IF(!log->torn, "store.recover.clean-end");
		MARK_IF(log->torn && !s.found, "store.recover.torn-last-frame");
		MARK_IF(log->torn && s.found, "store.recover.torn-out-of-order");
		return 0;
	}
	MARK_IF(s.synced_frame >= missing, "store.recover.damaged-below-later-frame");
	MARK_IF(s.synced_frame < missing, "store.recover.damaged-below-floor");
	if (s.lost.number != 0)
		snprintf(why, sizeof(why),
			 "frame %" PRIu64 " (entries %" PRIu64 " to %" PRIu64 ", term %" PRIu64
			 ") is damaged though it was durable",
			 missing, s.lost.first_index, s.lost.first_index + s.lost.count - 1,
			 s.lost.last_term);
	else
		snprintf(why, sizeof(why), "frame %" PRIu64 " is damaged though it was durable",
			 missing);
	return damaged(log, err, seg->number, log->append_offset, why);
}

/* Do the frames reach from base to an end, as the superblock says? */
static int check_range(struct store_log *log, const struct log_roots *roots, struct err *err)
{
	uint64_t term = roots->base_term;
	uint64_t segment = log->segment_count > 0 ? log->segments[0]->number : roots->first_segment;
	char why[160];

	if (log->base_index <= roots->base_index && log->last_index >= roots->base_index &&
	    (log->base_index == roots->base_index ||
	     !store_log_term_at(log, roots->base_index, &term) || term == roots->base_term)) {
		store_log_trim(log, roots->base_index, roots->base_term);
		return 0;
	}
	MARK("store.recover.base-does-not-fit");
	snprintf(why, sizeof(why),
		 "its entries %" PRIu64 " to %" PRIu64 " do not fit the base %" PRIu64
		 " (term %" PRIu64 ")",
		 log->base_index + 1, log->last_index, roots->base_index, roots->base_term);
	return damaged(log, err, segment, 0, why);
}

/* ---- open
 * --------------------------------------------------------------------------------------------------
 */

static struct store_log *log_new(int dir_fd, const char *path,
				 const struct store_identity *identity,
				 const struct log_roots *roots, const struct store_options *options,
				 const struct store_io *io)
{
	struct store_log *log = mem_calloc(1, sizeof(*log));
	uint32_t spares =
		options != NULL && options->spare_segments > 0 ? options->spare_segments : 1;

	log->io = io;
	log->dir_fd = dir_fd;
	log->path = mem_strdup(path);
	log->identity = *identity;
	log->segment_bytes = options != NULL && options->segment_bytes > 0 ? options->segment_bytes
									   : LOG_SEGMENT_DEFAULT;
	log->segment_bytes -= log->segment_bytes % FRAME_ALIGN;
	pthread_mutex_init(&log->lock, NULL);
	spares_init(&log->spares, io, dir_fd, log->segment_bytes, spares);
	/* What holds when there is no segment at all. */
	log->pos.index = log->base_index = log->last_index = roots->base_index;
	log->pos.term = log->base_term = roots->base_term;
	log->pos.last.number = roots->frames_before;
	log->next_segment = roots->first_segment;
	log->tail_synced = true;
	return log;
}

static int replay_all(struct store_log *log, const struct log_roots *roots, struct err *err)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	int ret = list_files(log->dir_fd, "seg", &numbers, &count);

	if (ret < 0)
		return err_set(err, ret, "cannot list log '%s': %s", log->path, strerror(-ret));
	for (size_t i = 0; i < count && ret == 0; i++) {
		if (numbers[i] < roots->first_segment) {
			MARK("store.recover.cut-was-interrupted");
			continue;
		}
		MARK_IF(numbers[i] != log->next_segment, "store.recover.segment-missing");
		if (numbers[i] != log->next_segment)
			ret = damaged(log, err, log->next_segment, 0, "the segment is missing");
		else
			ret = replay_segment(log, numbers[i], roots, err);
		log->next_segment = numbers[i] + 1;
	}
	free(numbers);
	return ret;
}

int store_log_open(struct store_log **log, int dir_fd, const char *path,
		   const struct store_identity *identity, const struct log_roots *roots,
		   const struct store_options *options, const struct store_io *io, struct err *err)
{
	struct store_log *l = log_new(dir_fd, path, identity, roots, options, io);
	int ret;

	if (l->segment_bytes < SEGMENT_SIZE_MIN || l->segment_bytes > SEGMENT_SIZE_MAX)
		ret = err_set(
			err, -EINVAL,
			"cannot use segments of %zu bytes for log '%s': the range is %u to %u",
			l->segment_bytes, path, SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
	else
		ret = replay_all(l, roots, err);
	if (ret == 0 && l->segment_count > 0)
		ret = judge_tail(l, roots, err);
	else if (ret == 0 && roots->synced_frame > roots->frames_before) {
		MARK("store.recover.all-segments-missing");
		ret = damaged(l, err, roots->first_segment, 0, "the segment is missing");
	}
	if (ret == 0)
		ret = check_range(l, roots, err);
	if (ret < 0) {
		store_log_close(l);
		return ret;
	}
	l->unproven = l->pos.last.number > roots->synced_frame;
	l->synced_frame = l->pos.last.number;
	*log = l;
	return 0;
}

void store_log_close(struct store_log *log)
{
	if (log == NULL)
		return;
	spares_release(&log->spares);
	for (size_t i = 0; i < log->segment_count; i++)
		log_segment_unref(log->segments[i]);
	free(log->segments);
	free(log->frames);
	free(log->runs);
	free(log->confs);
	buf_release(&log->scratch);
	pthread_mutex_destroy(&log->lock);
	free(log->path);
	free(log);
}

/* ---- start
 * -------------------------------------------------------------------------------------------------
 */

/*
 * Writes what was read once more. After an fsync that failed, the pages are clean though they never
 * reached the disk, and another fsync would return 0 and do nothing; only a page that is written again
 * is dirty again. Without doubt about the frames, the header alone may be such a page.
 */
static int write_again(struct store_log *log, struct log_segment *seg)
{
	uint64_t end = log->unproven ? log->append_offset : SEGMENT_HEADER_SIZE;
	uint8_t *chunk = mem_alloc((size_t)min_u64(SEARCH_STEP, end));
	int ret = 0;

	MARK_IF(log->unproven, "store.recover.tail-written-again");
	for (uint64_t off = 0; off < end && ret == 0; off += SEARCH_STEP) {
		size_t len = (size_t)min_u64(SEARCH_STEP, end - off);

		ret = io_pread_all(seg->fd, chunk, len, (off_t)off);
		if (ret == 0)
			ret = log->io->pwrite(seg->fd, chunk, len, (off_t)off);
	}
	free(chunk);
	return ret;
}

/*
 * What was read may live in the page cache alone: make it durable before anything builds on it. A
 * torn tail is overwritten with zeros, so that no later frame can make a leftover of it look like
 * its successor.
 */
static int settle_tail(struct store_log *log)
{
	struct log_segment *seg = log->segments[log->segment_count - 1];
	uint8_t *zeros;
	int ret = write_again(log, seg);

	if (log->torn) {
		log_warning("store",
			    "torn log tail left out segment=%" PRIu64 " offset=%" PRIu64
			    " last_index=%" PRIu64,
			    seg->number, log->append_offset, log->last_index);
		zeros = mem_calloc(1, SEARCH_STEP);
		for (uint64_t off = log->append_offset; off < seg->size_bytes && ret == 0;
		     off += SEARCH_STEP)
			ret = log->io->pwrite(seg->fd, zeros,
					      (size_t)min_u64(SEARCH_STEP, seg->size_bytes - off),
					      (off_t)off);
		free(zeros);
	}
	log->torn = false;
	if (ret == 0)
		ret = log->io->fdatasync(seg->fd);
	return ret < 0 ? ret : log->io->fsync_dir(log->dir_fd);
}

static int adopt_spares(struct store_log *log)
{
	uint64_t *ids = NULL;
	size_t count = 0;
	int ret = list_files(log->dir_fd, "spare", &ids, &count);

	for (size_t i = 0; ret == 0 && i < count; i++) {
		char name[SPARE_NAME_SIZE];
		struct stat st;

		spare_name(ids[i], "spare", name);
		if (fstatat(log->dir_fd, name, &st, 0) < 0)
			ret = -errno;
		else if ((uint64_t)st.st_size != log->segment_bytes ||
			 !spares_adopt(&log->spares, ids[i])) {
			MARK("store.spare.not-adopted");
			ret = log->io->unlink(log->dir_fd, name);
		}
	}
	free(ids);
	return ret;
}

/* Removes files with this suffix and a lower number. */
static int remove_files(struct store_log *log, const char *suffix, uint64_t below)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	int ret = list_files(log->dir_fd, suffix, &numbers, &count);

	for (size_t i = 0; ret == 0 && i < count && numbers[i] < below; i++) {
		char name[SPARE_NAME_SIZE];

		MARK_IF(strcmp(suffix, "tmp") == 0, "store.spare.unfinished-removed");
		spare_name(numbers[i], suffix, name);
		ret = log->io->unlink(log->dir_fd, name);
	}
	free(numbers);
	return ret;
}

int store_log_start(struct store_log *log, struct err *err)
{
	uint64_t first = log->segment_count > 0 ? log->segments[0]->number : log->next_segment;
	int ret = log->segment_count > 0 ? settle_tail(log) : 0;

	if (ret == 0)
		ret = remove_files(log, "seg", first);
	if (ret == 0)
		ret = remove_files(log, "tmp", UINT64_MAX);
	if (ret == 0)
		ret = adopt_spares(log);
	if (ret == 0)
		ret = spares_start(&log->spares);
	if (ret < 0) {
		log->failed = true;
		return err_set(err, ret, "cannot start log '%s': %s", log->path, strerror(-ret));
	}
	return 0;
}
