/*
 * raft_wire.c - messages, configurations and snapshot metas <-> bytes. Little-endian throughout.
 *
 * Every encoding is canonical: what decodes re-encodes to the same bytes.
 */
#include "base/cursor.h"
#include "raft/membership.h"
#include "raft/raft.h"

/* The first byte of a CONF entry tells which of the two it holds. */
#define CONF_VERSION 1
#define CONF_CHANGE_VERSION 2
#define META_VERSION 1
#define MESSAGE_VERSION 2

enum message_flags {
	FLAG_REJECT = 1,
	FLAG_TRANSFER = 2,
	FLAG_SNAPSHOT = 4,
	FLAG_LEASE = 8,
	FLAG_WANTED = 16,
	FLAG_SURRENDERED = 32,
	FLAG_ALL = 63,
};

#define ENTRY_FIXED_BYTES 13

/*
 * Configuration.                    off size
 *   version, now 1                    0   1
 *   auto_leave, 0 or 1                1   1
 *   member count                      2   1
 *   members, ascending by id:         3
 *     id                                  8
 *     role                                1
 *     address: length, bytes              2 + n
 */
void raft_conf_encode(const struct raft_conf *conf, struct buf *out)
{
	assert(conf_valid(conf));
	buf_put_u8(out, CONF_VERSION);
	buf_put_u8(out, conf->auto_leave);
	buf_put_u8(out, (uint8_t)conf->count);
	for (size_t i = 0; i < conf->count; i++) {
		const struct raft_member *m = &conf->members[i];

		buf_put_le64(out, m->id);
		buf_put_u8(out, m->role);
		buf_put_bytes16(out, m->address, strlen(m->address));
	}
}

/* An address without NUL bytes that fits; false if there is none. */
static bool address_read(struct cursor *c, char address[RAFT_ADDRESS_MAX])
{
	size_t len;
	const uint8_t *data = cursor_bytes16(c, &len);

	if (!cursor_ok(c) || len >= RAFT_ADDRESS_MAX || (len > 0 && memchr(data, 0, len) != NULL))
		return false;
	if (len > 0)
		memcpy(address, data, len);
	return true;
}

static void conf_read(struct cursor *c, struct raft_conf *conf, bool *sound)
{
	uint8_t version = cursor_u8(c);
	uint8_t auto_leave = cursor_u8(c);
	uint8_t count = cursor_u8(c);

	*conf = (struct raft_conf){ .auto_leave = auto_leave != 0, .count = count };
	*sound = version == CONF_VERSION && auto_leave <= 1 && count <= RAFT_NODES_MAX;
	for (size_t i = 0; *sound && i < count; i++) {
		struct raft_member *m = &conf->members[i];

		m->id = cursor_le64(c);
		m->role = cursor_u8(c);
		*sound = address_read(c, m->address);
	}
	*sound = *sound && cursor_ok(c) && conf_valid(conf);
}

int raft_conf_decode(struct raft_conf *conf, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct raft_conf read;
	bool sound;

	conf_read(&c, &read, &sound);
	if (!sound || !cursor_at_end(&c))
		return -EPROTO;
	*conf = read;
	return 0;
}

/*
 * Change of the configuration.      off size
 *   version, now 2                    0   1
 *   transition: 1 joint, left by      1   1
 *     itself; 2 joint; 3 simple;
 *     4 leave joint
 *   number of changes                 2   1
 *   changes, in their order:          3
 *     id                                  8
 *     1 add voter, 2 add learner,         1
 *       3 remove, 4 update
 *     address: length, bytes              2 + n
 */
void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *out)
{
	assert(change->count <= RAFT_CHANGES_MAX);
	buf_put_u8(out, CONF_CHANGE_VERSION);
	buf_put_u8(out, change->transition);
	buf_put_u8(out, (uint8_t)change->count);
	for (size_t i = 0; i < change->count; i++) {
		const struct raft_change *c = &change->v[i];

		assert(memchr(c->address, 0, sizeof(c->address)) != NULL);
		buf_put_le64(out, c->id);
		buf_put_u8(out, c->op);
		buf_put_bytes16(out, c->address, strlen(c->address));
	}
}

int raft_conf_change_decode(struct raft_conf_change *change, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct raft_conf_change read = { .transition = 0 };
	uint8_t version = cursor_u8(&c);
	uint8_t count;
	bool sound;

	read.transition = cursor_u8(&c);
	count = cursor_u8(&c);
	read.count = count;
	sound = version == CONF_CHANGE_VERSION && count <= RAFT_CHANGES_MAX &&
		read.transition >= RAFT_JOINT_AUTO && read.transition <= RAFT_LEAVE_JOINT;
	for (size_t i = 0; sound && i < count; i++) {
		struct raft_change *change_i = &read.v[i];

		change_i->id = cursor_le64(&c);
		change_i->op = cursor_u8(&c);
		sound = address_read(&c, change_i->address) && change_i->op >= RAFT_ADD_VOTER &&
			change_i->op <= RAFT_UPDATE;
	}
	if (!sound || !cursor_at_end(&c))
		return -EPROTO;
	*change = read;
	return 0;
}

/*
 * Snapshot meta.                    off size
 *   version, now 1                    0   1
 *   index                             1   8
 *   term                              9   8
 *   size_bytes                       17   8
 *   root                             25  32
 *   configuration: index             57   8
 *   configuration, as above          65
 */
void raft_snapshot_meta_encode(const struct raft_snapshot_meta *meta, struct buf *out)
{
	buf_put_u8(out, META_VERSION);
	buf_put_le64(out, meta->index);
	buf_put_le64(out, meta->term);
	buf_put_le64(out, meta->size_bytes);
	buf_put(out, meta->root, sizeof(meta->root));
	buf_put_le64(out, meta->conf.index);
	raft_conf_encode(&meta->conf, out);
}

static void meta_read(struct cursor *c, struct raft_snapshot_meta *meta, bool *sound)
{
	uint8_t version = cursor_u8(c);
	uint64_t conf_index;

	*meta = (struct raft_snapshot_meta){ .index = 0 };
	meta->index = cursor_le64(c);
	meta->term = cursor_le64(c);
	meta->size_bytes = cursor_le64(c);
	cursor_copy(c, meta->root, sizeof(meta->root));
	conf_index = cursor_le64(c);
	conf_read(c, &meta->conf, sound);
	meta->conf.index = conf_index;
	*sound = *sound && version == META_VERSION;
}

int raft_snapshot_meta_decode(struct raft_snapshot_meta *meta, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct raft_snapshot_meta read;
	bool sound;

	meta_read(&c, &read, &sound);
	if (!sound || !cursor_at_end(&c))
		return -EPROTO;
	*meta = read;
	return 0;
}

/*
 * Message.                          off size
 *   version, now 2                    0   1
 *   type                              1   1
 *   flags: 1 reject, 2 transfer,      2   1
 *          4 a snapshot meta follows,
 *          8 a lease stamp follows;
 *          with it on an answer:
 *          16 wanted, 32 surrendered
 *   group                             3   4
 *   from                              7   8
 *   to                               15   8
 *   term                             23   8
 *   log_index                        31   8
 *   log_term                         39   8
 *   commit                           47   8
 *   hint_index                       55   8
 *   hint_term                        63   8
 *   context                          71   8
 *   incarnation                      79   8
 *   entry count (only APPEND)        87   4
 *   entries, at log_index + 1 ...:   91
 *     term                                8
 *     type                                1
 *     payload: length, bytes              4 + n
 *   lease stamp, if flagged (APPEND, HEARTBEAT, their answers):
 *     sent_ns, not 0                      8
 *     echo_ns                             8
 *     echo_incarnation                    8
 *     length_ns                           8
 *     grant_ns                            8
 *     grant_index                         8
 *   snapshot meta, if flagged
 */
static uint8_t stamp_flags(const struct raft_lease_stamp *s)
{
	if (s->sent_ns == 0)
		return 0;
	return (uint8_t)(FLAG_LEASE | (s->wanted ? FLAG_WANTED : 0) |
			 (s->surrendered ? FLAG_SURRENDERED : 0));
}

static void stamp_put(const struct raft_lease_stamp *s, struct buf *out)
{
	buf_put_le64(out, s->sent_ns);
	buf_put_le64(out, s->echo_ns);
	buf_put_le64(out, s->echo_incarnation);
	buf_put_le64(out, s->length_ns);
	buf_put_le64(out, s->grant_ns);
	buf_put_le64(out, s->grant_index);
}

static void stamp_read(struct cursor *c, struct raft_message *m, uint8_t flags, bool *sound)
{
	struct raft_lease_stamp *s = &m->lease;
	bool answer = m->type == RAFT_MSG_APPEND_RESP || m->type == RAFT_MSG_HEARTBEAT_RESP;

	if ((flags & FLAG_LEASE) == 0) {
		*sound = (flags & (FLAG_WANTED | FLAG_SURRENDERED)) == 0;
		return;
	}
	s->sent_ns = cursor_le64(c);
	s->echo_ns = cursor_le64(c);
	s->echo_incarnation = cursor_le64(c);
	s->length_ns = cursor_le64(c);
	s->grant_ns = cursor_le64(c);
	s->grant_index = cursor_le64(c);
	s->wanted = (flags & FLAG_WANTED) != 0;
	s->surrendered = (flags & FLAG_SURRENDERED) != 0;
	*sound = s->sent_ns != 0 &&
		 (answer ? s->grant_ns == 0
			 : (m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT) &&
				   !s->wanted && !s->surrendered);
}

void raft_message_encode(const struct raft_message *msg, struct buf *out)
{
	uint8_t flags =
		(uint8_t)((msg->reject ? FLAG_REJECT : 0) |
			  (msg->campaign_transfer ? FLAG_TRANSFER : 0) |
			  (msg->snapshot != NULL ? FLAG_SNAPSHOT : 0) | stamp_flags(&msg->lease));

	buf_put_u8(out, MESSAGE_VERSION);
	buf_put_u8(out, msg->type);
	buf_put_u8(out, flags);
	buf_put_le32(out, msg->group);
	buf_put_le64(out, msg->from);
	buf_put_le64(out, msg->to);
	buf_put_le64(out, msg->term);
	buf_put_le64(out, msg->log_index);
	buf_put_le64(out, msg->log_term);
	buf_put_le64(out, msg->commit);
	buf_put_le64(out, msg->hint_index);
	buf_put_le64(out, msg->hint_term);
	buf_put_le64(out, msg->context);
	buf_put_le64(out, msg->incarnation);
	buf_put_le32(out, (uint32_t)msg->entry_count);
	for (size_t i = 0; i < msg->entry_count; i++) {
		const struct raft_entry *e = &msg->entries[i];

		buf_put_le64(out, e->term);
		buf_put_u8(out, e->type);
		if (e->data == NULL)
			buf_put_le32(out, 0);
		else
			buf_put_bytes32(out, e->data->data, e->data->len);
	}
	if (msg->lease.sent_ns != 0)
		stamp_put(&msg->lease, out);
	if (msg->snapshot != NULL)
		raft_snapshot_meta_encode(msg->snapshot, out);
}

static void entries_read(struct cursor *c, struct raft_message *m, uint32_t count, bool *sound)
{
	/* A count that the bytes left cannot hold must not make us allocate for it. */
	*sound = (count == 0 || m->type == RAFT_MSG_APPEND) &&
		 count <= cursor_left(c) / ENTRY_FIXED_BYTES && m->log_index <= UINT64_MAX - count;
	if (!*sound || count == 0)
		return;
	m->entries = mem_calloc(count, sizeof(m->entries[0]));
	for (; *sound && m->entry_count < count; m->entry_count++) {
		struct raft_entry *e = &m->entries[m->entry_count];
		const uint8_t *data;
		size_t len;

		e->index = m->log_index + 1 + m->entry_count;
		e->term = cursor_le64(c);
		e->type = cursor_u8(c);
		data = cursor_bytes32(c, &len);
		*sound = cursor_ok(c) && e->type >= RAFT_ENTRY_NOOP && e->type <= RAFT_ENTRY_NORMAL;
		if (*sound && len > 0)
			e->data = blob_from(data, len);
	}
}

static void fields_read(struct cursor *c, struct raft_message *m)
{
	m->group = cursor_le32(c);
	m->from = cursor_le64(c);
	m->to = cursor_le64(c);
	m->term = cursor_le64(c);
	m->log_index = cursor_le64(c);
	m->log_term = cursor_le64(c);
	m->commit = cursor_le64(c);
	m->hint_index = cursor_le64(c);
	m->hint_term = cursor_le64(c);
	m->context = cursor_le64(c);
	m->incarnation = cursor_le64(c);
}

int raft_message_decode(struct raft_message *msg, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct raft_message m = { .type = 0 };
	uint8_t version = cursor_u8(&c);
	uint8_t type = cursor_u8(&c);
	uint8_t flags = cursor_u8(&c);
	uint32_t count;
	bool sound;

	if (version != MESSAGE_VERSION || type < RAFT_MSG_APPEND || type > RAFT_MSG_TIMEOUT_NOW ||
	    (flags & ~FLAG_ALL) != 0)
		return -EPROTO;
	m.type = type;
	m.reject = (flags & FLAG_REJECT) != 0;
	m.campaign_transfer = (flags & FLAG_TRANSFER) != 0;
	fields_read(&c, &m);
	count = cursor_le32(&c);
	entries_read(&c, &m, count, &sound);
	if (sound)
		stamp_read(&c, &m, flags, &sound);
	if (sound && (flags & FLAG_SNAPSHOT) != 0) {
		m.snapshot = mem_calloc(1, sizeof(*m.snapshot));
		meta_read(&c, m.snapshot, &sound);
		sound = sound && (type == RAFT_MSG_SNAPSHOT || type == RAFT_MSG_SNAPSHOT_RESP);
	}
	if (!sound || !cursor_at_end(&c)) {
		raft_message_release(&m);
		return -EPROTO;
	}
	*msg = m;
	return 0;
}

void raft_message_release(struct raft_message *msg)
{
	for (size_t i = 0; i < msg->entry_count; i++)
		blob_unref(msg->entries[i].data);
	free(msg->entries);
	free(msg->snapshot);
	msg->entries = NULL;
	msg->entry_count = 0;
	msg->snapshot = NULL;
}

const char *raft_message_type_name(uint8_t type)
{
	static const char *const names[] = {
		[RAFT_MSG_APPEND] = "append",
		[RAFT_MSG_APPEND_RESP] = "append-resp",
		[RAFT_MSG_HEARTBEAT] = "heartbeat",
		[RAFT_MSG_HEARTBEAT_RESP] = "heartbeat-resp",
		[RAFT_MSG_PREVOTE] = "prevote",
		[RAFT_MSG_PREVOTE_RESP] = "prevote-resp",
		[RAFT_MSG_VOTE] = "vote",
		[RAFT_MSG_VOTE_RESP] = "vote-resp",
		[RAFT_MSG_SNAPSHOT] = "snapshot",
		[RAFT_MSG_SNAPSHOT_RESP] = "snapshot-resp",
		[RAFT_MSG_READ_INDEX] = "read-index",
		[RAFT_MSG_READ_INDEX_RESP] = "read-index-resp",
		[RAFT_MSG_TIMEOUT_NOW] = "timeout-now",
	};

	return type < ARRAY_SIZE(names) && names[type] != NULL ? names[type] : "unknown";
}
