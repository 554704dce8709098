/*
 * load.c - what the clients ask for: operations on few names, so that they meet, with values that tell
 * who wrote them.
 *
 * Inodes are learnt from answers. Records appended to the key "log" are checked here: each that was
 * acknowledged is in every later read, once; all are there once at the end.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/sim/sim.h"

#define INOS_MAX 64
#define RECORD_SIZE 8
#define VALUE_MAX 9000

struct known_ino {
	uint64_t ino;
	uint32_t type;
};

struct record {
	uint32_t client;
	uint64_t seq;
	uint64_t index; /* of its entry; 0: not known to have one */
};

struct sim_load {
	struct known_ino inos[INOS_MAX];
	size_t ino_count;
	unsigned values; /* written so far: makes each unlike others */
	char name[16], name2[16];
	char value[VALUE_MAX];
	struct record *records; /* in the order in which they were asked for */
	size_t record_count, record_cap;
};

static const char *const names[] = { "a", "b", "c", "d", "e" };
static const char *const keys[] = { "k0", "k1", "k2" };

static uint64_t below(struct sim *s, uint64_t bound)
{
	return prng_below(&s->rnd[RND_LOAD], bound);
}

/* ---- pieces of requests --------------------------------------------------------------------------------- */

static uint64_t any_ino(struct sim *s, uint32_t type)
{
	struct sim_load *l = s->load;

	for (int tries = 0; tries < 8 && l->ino_count > 0; tries++) {
		const struct known_ino *k = &l->inos[below(s, l->ino_count)];

		if (k->type == type)
			return k->ino;
	}
	return FS_ROOT_INO;
}

static uint64_t any_dir(struct sim *s)
{
	return below(s, 3) ? FS_ROOT_INO : any_ino(s, S_IFDIR);
}

/* In a file with holes: in any of its first blocks, near the beginning of it. */
static uint64_t any_offset(struct sim *s, uint64_t bound)
{
	return s->swarm.sparse ? below(s, 12) * KV_BLOCK_SIZE + below(s, 100) : below(s, bound);
}

static void set_name(struct sim *s, struct fs_request *rq)
{
	snprintf(s->load->name, sizeof(s->load->name), "%s", names[below(s, ARRAY_SIZE(names))]);
	rq->name = s->load->name;
	rq->name_len = strlen(rq->name);
}

static void set_name2(struct sim *s, struct fs_request *rq)
{
	snprintf(s->load->name2, sizeof(s->load->name2), "%s", names[below(s, ARRAY_SIZE(names))]);
	rq->name2 = s->load->name2;
	rq->name2_len = strlen(rq->name2);
}

/* Starts with who wrote it; now and then large. */
static void set_value(struct sim_client *c, struct fs_request *rq, size_t min_len)
{
	struct sim *s = c->sim;
	struct sim_load *l = s->load;
	size_t len = below(s, 10) ? 16 + below(s, 100) : 16 + below(s, VALUE_MAX - 16);
	int n = snprintf(l->value, sizeof(l->value), "c%zu.%u.", c->number, ++l->values);

	len = len > min_len ? len : min_len;
	memset(l->value + n, 'a' + (int)(l->values % 26), len - (size_t)n);
	rq->data = l->value;
	rq->data_len = len;
}

static void set_key(struct sim *s, struct fs_request *rq, const char *key)
{
	snprintf(s->load->name, sizeof(s->load->name), "%s", key);
	rq->name = s->load->name;
	rq->name_len = strlen(rq->name);
}

/* ---- operations ------------------------------------------------------------------------------------------- */

static void append_record(struct sim_client *c, struct fs_request *rq)
{
	struct sim_load *l = c->sim->load;

	rq->op = FS_KV_APPEND;
	set_key(c->sim, rq, "log");
	if (l->record_count == l->record_cap) {
		l->record_cap = l->record_cap ? 2 * l->record_cap : 64;
		l->records = mem_realloc(l->records, l->record_cap * sizeof(*l->records));
	}
	snprintf(l->value, sizeof(l->value), "<%06zu>", l->record_count);
	l->records[l->record_count++] =
		(struct record){ .client = (uint32_t)c->number, .seq = c->next_seq };
	rq->data = l->value;
	rq->data_len = RECORD_SIZE;
}

static void kv_op(struct sim_client *c, struct fs_request *rq)
{
	struct sim *s = c->sim;
	const char *key = keys[below(s, ARRAY_SIZE(keys))];

	switch (below(s, 8)) {
	case 0:
	case 1:
		append_record(c, rq);
		return;
	case 2:
		rq->op = FS_KV_GET;
		set_key(s, rq, "log");
		return;
	case 3:
		rq->op = FS_KV_DELETE;
		break;
	case 4:
	case 5:
		rq->op = FS_KV_PUT;
		set_value(c, rq, 16);
		break;
	default:
		rq->op = FS_KV_GET;
		break;
	}
	set_key(s, rq, key);
}

static void read_op(struct sim_client *c, struct fs_request *rq, bool look)
{
	struct sim *s = c->sim;

	switch (look ? 2 * below(s, 2) : below(s, 6)) {
	case 0:
		rq->op = FS_LOOKUP;
		rq->ino = any_dir(s);
		set_name(s, rq);
		break;
	case 1:
		rq->op = FS_READDIR;
		rq->ino = any_dir(s);
		rq->size = below(s, 4) ? LIST_ROOM : (uint32_t)below(s, 300);
		break;
	case 2:
		rq->op = FS_GETATTR;
		rq->ino = any_ino(s, below(s, 2) ? S_IFREG : S_IFDIR);
		break;
	default:
		rq->op = FS_READ;
		rq->ino = any_ino(s, S_IFREG);
		rq->offset = below(s, 4) ? 0 : any_offset(s, 40000);
		rq->size = 65536;
		break;
	}
}

static void name_op(struct sim_client *c, struct fs_request *rq)
{
	struct sim *s = c->sim;

	rq->ino = any_dir(s);
	set_name(s, rq);
	switch (below(s, 9)) {
	case 0:
		rq->op = FS_MKDIR;
		rq->mode = 0755;
		break;
	case 1:
		rq->op = FS_RMDIR;
		break;
	case 2:
		rq->op = FS_UNLINK;
		break;
	case 3:
		rq->op = FS_LINK;
		rq->ino2 = rq->ino;
		rq->ino = any_ino(s, S_IFREG);
		break;
	case 4:
	case 5:
		rq->op = FS_RENAME;
		rq->ino2 = any_dir(s);
		set_name2(s, rq);
		rq->flags = below(s, 4) ? 0 : below(s, 2) ? RENAME_NOREPLACE : RENAME_EXCHANGE;
		break;
	case 6:
		rq->op = FS_SYMLINK;
		rq->data = "target";
		rq->data_len = 6;
		break;
	default:
		rq->op = FS_CREATE;
		rq->mode = 0644;
		rq->flags = below(s, 3) ? 0 : below(s, 2) ? O_EXCL : O_TRUNC;
		break;
	}
}

static void file_op(struct sim_client *c, struct fs_request *rq)
{
	struct sim *s = c->sim;
	bool own = c->own_ino != 0 && below(s, 12);

	rq->ino = own ? c->own_ino : any_ino(s, S_IFREG);
	switch (own && below(s, 8) ? 6 : below(s, 7)) {
	case 0:
		rq->op = FS_SETATTR;
		rq->valid = FS_SET_SIZE;
		rq->size = below(s, 2) ? 0 : any_offset(s, 70000);
		break;
	case 1:
		rq->op = FS_SETATTR;
		rq->valid = FS_SET_MODE;
		rq->mode = below(s, 2) ? 0600 : 0640;
		break;
	case 2:
		rq->op = FS_SETXATTR;
		set_key(s, rq, "user.a");
		set_value(c, rq, 16);
		rq->data_len = 16;
		rq->flags = below(s, 3) ? 0 : below(s, 2) ? XATTR_CREATE : XATTR_REPLACE;
		break;
	case 3:
	case 4:
		rq->op = FS_WRITE;
		rq->flags = O_APPEND;
		set_value(c, rq, 16);
		break;
	default:
		rq->op = FS_WRITE;
		rq->offset = below(s, s->swarm.sparse ? 8 : 3) ? any_offset(s, 60000) : 0;
		set_value(c, rq, 16);
		break;
	}
}

bool load_next(struct sim_client *c, struct fs_request *rq)
{
	struct sim *s = c->sim;

	if (s->issued >= s->swarm.ops)
		return false;
	s->issued++;
	*rq = (struct fs_request){ .op = 0 };
	if (s->swarm.files && s->swarm.looks && below(s, 1000) < s->swarm.looks) {
		read_op(c, rq, true);
		return true;
	}
	switch (c->gatherer && s->swarm.files && below(s, 5) ? 7 : s->swarm.files ? below(s, 8) : 0) {
	case 0:
	case 1:
		kv_op(c, rq);
		break;
	case 2:
	case 3:
		read_op(c, rq, false);
		break;
	case 4:
	case 5:
		name_op(c, rq);
		break;
	default:
		file_op(c, rq);
		break;
	}
	return true;
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static void learn(struct sim_load *l, const struct fs_attr *attr)
{
	for (size_t i = 0; i < l->ino_count; i++)
		if (l->inos[i].ino == attr->ino)
			return;
	/* The newest ones are met more often. */
	if (l->ino_count == INOS_MAX)
		memmove(l->inos, l->inos + 1, --l->ino_count * sizeof(l->inos[0]));
	l->inos[l->ino_count++] = (struct known_ino){ attr->ino, attr->mode & S_IFMT };
}

static unsigned count_record(const char *text, size_t len, size_t number)
{
	char want[RECORD_SIZE + 1];
	unsigned n = 0;

	snprintf(want, sizeof(want), "<%06zu>", number % 1000000);
	for (size_t off = 0; off + RECORD_SIZE <= len; off += RECORD_SIZE)
		n += memcmp(text + off, want, RECORD_SIZE) == 0;
	return n;
}

/* Every record up to the floor is there, none twice. */
static void check_records(struct sim *s, const char *what, const char *text, size_t len,
			  uint64_t floor)
{
	struct sim_load *l = s->load;

	SIM_CHECK(s, len % RECORD_SIZE == 0);
	for (size_t i = 0; i < l->record_count; i++) {
		unsigned n = count_record(text, len, i);

		if (n > 1 || (n == 0 && l->records[i].index != 0 && l->records[i].index <= floor))
			sim_fail(s, "%s: record %zu of entry %llu is there %u times", what, i,
				 (unsigned long long)l->records[i].index, n);
	}
}

static bool is_log_read(const struct sim_op *op)
{
	struct fs_request rq;

	return op->op == FS_KV_GET && fs_request_decode(&rq, op->body.data, op->body.len) == 0 &&
	       rq.name_len == 3;
}

void load_executed(struct sim *s, const struct apply_answer *a)
{
	struct sim_load *l = s->load;

	if (a->status != 0)
		return;
	for (size_t i = 0; i < l->record_count; i++)
		if (l->records[i].seq == a->seq &&
		    memcmp(s->clients[l->records[i].client].uuid, a->uuid, KV_UUID_SIZE) == 0)
			l->records[i].index = a->index;
}

/* Who gathers has one file that it writes more than others do. */
static void choose_own(struct sim_client *c, const struct sim_op *op, const struct fs_reply *reply)
{
	if (c->gatherer && (op->op == FS_CREATE || op->op == FS_WRITE))
		c->own_ino = op->status == 0 && reply->has_attr ? reply->attr.ino : 0;
}

void load_answered(struct sim_client *c, struct sim_op *op)
{
	struct sim *s = c->sim;
	struct fs_reply reply = { .has_attr = false };

	if (op->given_up)
		return;
	if (op->status == 0) {
		SIM_CHECK(s, fs_reply_decode(&reply, op->reply.data, op->reply.len) == 0);
		if (reply.has_attr && op->op != FS_RENAME)
			learn(s->load, &reply.attr);
		if (is_log_read(op))
			check_records(s, "a read", reply.data, reply.data_len, op->floor);
	} else if (is_log_read(op)) {
		check_records(s, "a read", NULL, 0, op->floor);
	}
	choose_own(c, op, &reply);
}

void load_start(struct sim *s)
{
	s->load = mem_calloc(1, sizeof(*s->load));
}

void load_release(struct sim *s)
{
	if (s->load)
		free(s->load->records);
	free(s->load);
	s->load = NULL;
}

/* The last word on the records: what any node's state says now. */
void load_check_end(struct sim *s)
{
	struct fs_request rq = { .op = FS_KV_GET, .name = "log", .name_len = 3 };
	struct fs_stamp stamp = { .index = 0 };

	for (size_t i = 1; i <= s->node_count; i++) {
		struct sim_node *node = &s->nodes[i];
		struct sim_node *was = node_enter(node);
		struct fs_result res = { .reply = BUF_INIT };
		struct kv_view *view = NULL;
		struct fs_reply reply = { .data = NULL };
		struct kv_txn *txn;
		struct kv *kv;

		if (!node->alive || node->damaged || !check_is_member(s, node->id)) {
			node_leave(was);
			continue;
		}
		kv = kv_slot_get(&node->shared.slot);
		SIM_CHECK(s, kv_view_open(kv, &view, NULL) == 0);
		txn = kv_txn_new(view, NULL);
		SIM_CHECK(s, fs_eval(txn, &rq, &stamp, &res) == 0);
		if (res.outcome == FS_OK)
			SIM_CHECK(s, fs_reply_decode(&reply, res.reply.data, res.reply.len) == 0);
		check_records(s, "the end", reply.data, reply.data_len, UINT64_MAX);
		buf_release(&res.reply);
		kv_txn_free(txn);
		kv_view_close(view);
		kv_unref(kv);
		node_leave(was);
	}
}
