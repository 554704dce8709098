/* local_node.c - see local_node.h. */
#include "tests/lib/local_node.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"

#define RECLAIM_MS 50

struct delivery {
	struct list node;
	uint64_t due_ms;
	struct buf message;
};

struct local_channel {
	struct local_node *node;
	struct list in_node; /* guarded by the node's lock */
	bool answered;       /* the last query; guarded by the node's lock, as is held */
	struct buf held;     /* le64 inos of the last answer */
	struct fs_session *session;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct list deliveries; /* by due_ms */
	bool closing;
};

struct local_node {
	struct local_control *control;
	pthread_mutex_t lock; /* guards all below */
	struct kv *kv;
	struct kv_view *view;
	uint64_t index;
	struct list channels;
	uint64_t query;
	bool closing;
	pthread_t reclaimer;
};

/* ---- evaluation, under the node's lock ---- */

struct answer {
	int status;
	uint64_t session_id;
	struct buf reply;
};

static void refresh(struct local_node *n)
{
	int ret = kv_view_refresh(n->view);

	assert(ret == 0);
	(void)ret;
}

/* Makes one entry of the transaction and applies it. */
static void apply(struct local_node *n, struct kv_txn *txn, struct kv_batch_head *head)
{
	struct err err = ERR_INIT;

	head->prev_index = n->index;
	head->prev_term = 1;
	struct raft_entry e = { .index = ++n->index,
				.term = 1,
				.type = RAFT_ENTRY_NORMAL,
				.data = kv_txn_batch(txn, head) };
	int ret = kv_apply(n->kv, &e, 1, &err);

	if (ret < 0)
		err_print(&err, "local_node");
	assert(ret == 0);
	blob_unref(e.data);
}

static void evaluate(struct local_node *n, const struct fs_request *rq, const struct fs_msg *m,
		     struct answer *a)
{
	struct fs_stamp stamp = { .index = n->index + 1, .wall_ns = clock_wall_ns() };
	struct kv_session_lookup found = { .state = KV_SESSION_EXECUTE };
	struct fs_result result = { .outcome = FS_OK };

	refresh(n);
	struct kv_txn *txn = kv_txn_new(n->view, NULL);
	struct kv_session_ask ask = { .seq = m ? m->seq : 0 };

	if (m) {
		memcpy(ask.uuid, m->uuid, sizeof(ask.uuid));
		ask.low = m->low;
		ask.session_id = m->session_id;
		ask.stamp = m->stamp;
	}
	int ret = ask.seq ? kv_txn_session(txn, &ask, &found) : 0;

	assert(ret == 0);
	a->session_id = found.session_id;
	if (found.state == KV_SESSION_DONE) {
		a->status = found.status;
		buf_put(&a->reply, found.reply.data, found.reply.len);
		goto out;
	}
	assert(found.state == KV_SESSION_EXECUTE || found.state == KV_SESSION_BEGIN);
	if (m)
		stamp.session_id = found.state == KV_SESSION_BEGIN ? stamp.index : found.session_id;
	ret = fs_eval(txn, rq, &stamp, &result);
	assert(ret == 0 && (result.outcome != FS_BLOCKED || rq->op == FS_LOCK_WAIT));
	if (result.outcome == FS_BLOCKED) /* nothing is kept here: it asks again */
		a->status = -EAGAIN;
	else if (result.outcome == FS_ERROR)
		a->status = result.status;
	else
		buf_put(&a->reply, result.reply.data, result.reply.len);
	if (result.outcome == FS_OK && !fs_op_is_read(rq->op)) {
		struct kv_batch_head head = { .wall_ns = stamp.wall_ns,
					      .reply = result.reply.data,
					      .reply_len = result.reply.len };

		if (m) {
			head.has_session = true;
			memcpy(head.uuid, m->uuid, sizeof(head.uuid));
			head.seq = m->seq;
			head.low = m->low;
			head.begins = found.state == KV_SESSION_BEGIN;
			head.session_id = head.begins ? stamp.index : found.session_id;
			head.stamp = head.begins ? m->stamp : 0;
			a->session_id = head.session_id;
		}
		apply(n, txn, &head);
	}
out:
	buf_release(&result.reply);
	buf_release(&found.reply);
	kv_txn_free(txn);
}

/* ---- delivery ---- */

static void deliver_later(struct local_channel *ch, const struct fs_msg *m, uint64_t delay_ms)
{
	struct delivery *d = calloc(1, sizeof(*d));

	d->due_ms = clock_boot_ms() + delay_ms;
	fs_msg_encode(m, &d->message);
	pthread_mutex_lock(&ch->lock);
	struct list *at = ch->deliveries.prev;

	while (at != &ch->deliveries && list_entry(at, struct delivery, node)->due_ms > d->due_ms)
		at = at->prev;
	list_add_head(at, &d->node);
	pthread_cond_signal(&ch->wake);
	pthread_mutex_unlock(&ch->lock);
}

static void *deliver_main(void *arg)
{
	struct local_channel *ch = arg;

	pthread_mutex_lock(&ch->lock);
	while (!ch->closing) {
		if (list_empty(&ch->deliveries)) {
			pthread_cond_wait(&ch->wake, &ch->lock);
			continue;
		}
		struct delivery *d = list_first(&ch->deliveries, struct delivery, node);
		uint64_t now = clock_boot_ms();

		if (d->due_ms > now) {
			pthread_mutex_unlock(&ch->lock);
			clock_sleep_ms(min_u64(d->due_ms - now, 2));
			pthread_mutex_lock(&ch->lock);
			continue;
		}
		list_del(&d->node);
		pthread_mutex_unlock(&ch->lock);
		fs_session_on_message(ch->session, d->message.data, d->message.len);
		buf_release(&d->message);
		free(d);
		pthread_mutex_lock(&ch->lock);
	}
	pthread_mutex_unlock(&ch->lock);
	return NULL;
}

static void on_request(struct local_channel *ch, const struct fs_msg *m)
{
	struct local_node *n = ch->node;
	struct answer a = { .status = 0 };
	struct fs_request rq;
	int ret = fs_request_decode(&rq, m->body, m->body_len);

	assert(ret == 0 && !fs_op_is_internal(rq.op));
	(void)ret;
	atomic_fetch_add(&n->control->count[rq.op], 1);
	if (atomic_load(&n->control->silent[rq.op]))
		return;
	pthread_mutex_lock(&n->lock);
	evaluate(n, &rq, m, &a);
	pthread_mutex_unlock(&n->lock);
	deliver_later(ch,
		      &(struct fs_msg){ .type = FS_MSG_REPLY,
					.flags = FS_MSG_FINAL,
					.tag = m->tag,
					.seq = m->seq,
					.status = a.status,
					.session_id = a.session_id,
					.body = a.status ? NULL : a.reply.data,
					.body_len = a.status ? 0 : a.reply.len },
		      atomic_load(&n->control->delay_ms[rq.op]));
	buf_release(&a.reply);
}

static int channel_send(void *channel, const void *head, size_t head_len, const void *tail,
			size_t tail_len)
{
	struct local_channel *ch = channel;
	struct buf all = BUF_INIT;
	struct fs_msg m;

	buf_put(&all, head, head_len);
	buf_put(&all, tail, tail_len);
	int ret = fs_msg_decode(&m, all.data, all.len);

	assert(ret == 0);
	(void)ret;
	if (m.type == FS_MSG_REQUEST) {
		on_request(ch, &m);
	} else if (m.type == FS_MSG_ALIVE) {
		pthread_mutex_lock(&ch->node->lock);
		uint64_t index = ch->node->index;

		pthread_mutex_unlock(&ch->node->lock);
		deliver_later(ch,
			      &(struct fs_msg){ .type = FS_MSG_KEPT,
						.tag = m.tag,
						.session_id = m.session_id,
						.ttl_ms = 30000,
						.stamp = index },
			      0);
	} else if (m.type == FS_MSG_ANSWER) {
		pthread_mutex_lock(&ch->node->lock);
		if (m.tag == ch->node->query) {
			ch->answered = true;
			buf_reset(&ch->held);
			buf_put(&ch->held, m.body, m.body_len);
		}
		pthread_mutex_unlock(&ch->node->lock);
	}
	buf_release(&all);
	return 0;
}

static void channel_move(void *channel)
{
	(void)channel;
}

const struct fs_channel_ops local_channel_ops = { .send = channel_send, .move = channel_move };

/* ---- orphans ---- */

/* Asks every client which of these it holds; they stay in `held` of the channels. False: no answer. The
 * lock is let go meanwhile. */
static bool ask_all(struct local_node *n, const struct buf *inos)
{
	bool all = false;

	n->query++;
	list_for_each (it, &n->channels) {
		struct local_channel *ch = list_entry(it, struct local_channel, in_node);

		ch->answered = false;
		deliver_later(ch,
			      &(struct fs_msg){ .type = FS_MSG_QUERY,
						.tag = n->query,
						.body = inos->data,
						.body_len = inos->len },
			      0);
	}
	for (int i = 0; i < 100 && !all && !n->closing; i++) {
		pthread_mutex_unlock(&n->lock);
		clock_sleep_ms(2);
		pthread_mutex_lock(&n->lock);
		all = true;
		list_for_each (it, &n->channels)
			all = all && list_entry(it, struct local_channel, in_node)->answered;
	}
	return all;
}

static bool is_held(struct local_node *n, uint64_t ino)
{
	list_for_each (it, &n->channels) {
		const struct buf *held = &list_entry(it, struct local_channel, in_node)->held;

		for (size_t off = 0; off < held->len; off += 8)
			if (load_le64(held->data + off) == ino)
				return true;
	}
	return false;
}

static void reclaim_round(struct local_node *n)
{
	struct answer list = { .status = 0 };
	struct buf inos = BUF_INIT;
	struct fs_reply reply = { .data_len = 0 };
	struct fs_orphan o;
	unsigned left = 0;

	evaluate(n, &(struct fs_request){ .op = FS_ORPHANS }, NULL, &list);
	int ret = fs_reply_decode(&reply, list.reply.data, list.reply.len);

	assert(list.status == 0 && ret == 0);
	(void)ret;
	const uint8_t *data = reply.data;
	size_t len = reply.data_len;

	for (; fs_orphan_next(&data, &len, &o); left++)
		buf_put_le64(&inos, o.ino);
	bool asked = left > 0 && ask_all(n, &inos);

	data = reply.data;
	len = reply.data_len;
	while (fs_orphan_next(&data, &len, &o)) {
		struct fs_request rq = { .op = FS_RECLAIM,
					 .ino = o.ino,
					 .flags = o.linked ? FS_RECLAIM_TRUNCATE : 0 };
		struct answer a = { .status = 0 };

		if (o.linked || (asked && !is_held(n, o.ino)))
			evaluate(n, &rq, NULL, &a);
		buf_release(&a.reply);
	}
	atomic_store(&n->control->orphans, left);
	buf_release(&inos);
	buf_release(&list.reply);
}

static void *reclaim_main(void *arg)
{
	struct local_node *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->closing) {
		reclaim_round(n);
		pthread_mutex_unlock(&n->lock);
		clock_sleep_ms(RECLAIM_MS);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

/* ---- life cycle ---- */

struct local_node *local_node_new(struct local_control *control)
{
	struct local_node *n = calloc(1, sizeof(*n));
	struct kv_meta meta = {
		.applied_index = 1,
		.applied_term = 1,
		.conf = { .index = 1, .count = 1, .members = { { .id = 1, .role = RAFT_VOTER } } }
	};
	struct answer a = { .status = 0 };
	struct err err = ERR_INIT;

	n->control = control;
	n->index = 1;
	list_init(&n->channels);
	pthread_mutex_init(&n->lock, NULL);
	n->kv = kv_new_memory(&meta);
	int ret = kv_view_open(n->kv, &n->view, &err);

	assert(ret == 0);
	(void)ret;
	evaluate(n, &(struct fs_request){ .op = FS_MAKE_ROOT, .mode = 0755 }, NULL, &a);
	assert(a.status == 0);
	buf_release(&a.reply);
	pthread_create(&n->reclaimer, NULL, reclaim_main, n);
	return n;
}

void local_node_free(struct local_node *n)
{
	pthread_mutex_lock(&n->lock);
	n->closing = true;
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->reclaimer, NULL);
	kv_view_close(n->view);
	kv_unref(n->kv);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

int local_node_check(struct local_node *n)
{
	struct buf text = BUF_INIT;

	pthread_mutex_lock(&n->lock);
	refresh(n);
	struct kv_txn *txn = kv_txn_new(n->view, NULL);
	int ret = fs_check(txn, &text);

	kv_txn_free(txn);
	pthread_mutex_unlock(&n->lock);
	if (ret != 0)
		fprintf(stderr, "fs_check: %d\n%.*s\n", ret, (int)text.len,
			(const char *)text.data);
	buf_release(&text);
	return ret;
}

struct local_channel *local_channel_new(struct local_node *node)
{
	struct local_channel *ch = calloc(1, sizeof(*ch));

	ch->node = node;
	list_init(&ch->deliveries);
	pthread_mutex_init(&ch->lock, NULL);
	pthread_cond_init(&ch->wake, NULL);
	pthread_mutex_lock(&node->lock);
	list_add_tail(&node->channels, &ch->in_node);
	pthread_mutex_unlock(&node->lock);
	return ch;
}

void local_channel_start(struct local_channel *ch, struct fs_session *session)
{
	ch->session = session;
	pthread_create(&ch->thread, NULL, deliver_main, ch);
	fs_session_on_up(session);
}

void local_channel_stop(struct local_channel *ch)
{
	pthread_mutex_lock(&ch->node->lock);
	list_del(&ch->in_node);
	pthread_mutex_unlock(&ch->node->lock);
	pthread_mutex_lock(&ch->lock);
	ch->closing = true;
	pthread_cond_signal(&ch->wake);
	pthread_mutex_unlock(&ch->lock);
	pthread_join(ch->thread, NULL);
}

void local_channel_free(struct local_channel *ch)
{
	list_for_each_safe (it, &ch->deliveries) {
		struct delivery *d = list_entry(it, struct delivery, node);

		list_del(it);
		buf_release(&d->message);
		free(d);
	}
	buf_release(&ch->held);
	pthread_cond_destroy(&ch->wake);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}
