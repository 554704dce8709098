/*
 * test_evaluate.c - the leader's evaluator alone: what is proposed, answered, parked, and when.
 * The rig plays replica and apply thread by hand, on the in-memory kv.
 */
#include <string.h>

#include "fs/fs.h"
#include "node/evaluate.h"
#include "tests/lib/unit.h"

#define GROUP 3
#define TERM 5

static int64_t wall;

static int64_t wall_ns(void)
{
	return wall;
}

struct fixture {
	struct kv_slot slot;
	struct evaluator *ev;
	struct list jobs, out;
	uint64_t applied, generation;
	/* What came out and is not applied yet, and all answers. */
	struct raft_entry entries[256];
	size_t entry_count;
	struct eval_answer answers[256];
	size_t answer_count;
	uint64_t tail; /* where the next proposal must begin */
};

static void role(struct fixture *f, bool leader, uint64_t term, uint64_t last_index,
		 uint64_t last_term)
{
	struct job_eval_role *role = job_new(JOB_EVAL_ROLE, sizeof(*role));

	role->generation = ++f->generation;
	role->leader = leader;
	role->term = term;
	role->last_index = last_index;
	role->last_term = last_term;
	f->tail = last_index;
	list_add_tail(&f->jobs, &role->job.link);
}

static void tell_applied(struct fixture *f, bool growth)
{
	struct job_eval_applied *applied = job_new(JOB_EVAL_APPLIED, sizeof(*applied));

	applied->index = f->applied;
	applied->growth_allowed = growth;
	list_add_tail(&f->jobs, &applied->job.link);
}

static void take_proposals(struct fixture *f, struct job_eval_result *res)
{
	/* A batch belongs directly behind what it was evaluated on. */
	assert_int_equal(res->prev_index, f->tail);
	for (size_t i = 0; i < res->proposal_count; i++) {
		struct raft_entry *e = &f->entries[f->entry_count++];

		*e = (struct raft_entry){
			.index = ++f->tail,
			.term = TERM,
			.type = RAFT_ENTRY_NORMAL,
			.data = blob_ref(res->proposals[i].data),
		};
	}
}

static void run(struct fixture *f)
{
	evaluator_run(f->ev, &f->jobs, &f->out);
	assert_true(list_empty(&f->jobs));
	list_for_each_safe (it, &f->out) {
		struct job *job = list_entry(it, struct job, link);
		struct job_eval_result *res = CONTAINER_OF(job, struct job_eval_result, job);

		assert_int_equal(job->type, JOB_EVAL_RESULT);
		assert_int_equal(job->status, 0);
		list_del(it);
		if (res->generation == f->generation) {
			take_proposals(f, res);
			for (size_t i = 0; i < res->answer_count; i++) {
				f->answers[f->answer_count++] = res->answers[i];
				res->answers[i].reply = BUF_INIT;
			}
		}
		job_free(job);
	}
}

static void drop_entries(struct fixture *f)
{
	for (size_t i = 0; i < f->entry_count; i++)
		blob_unref(f->entries[i].data);
	f->entry_count = 0;
}

/* The first count of the entries that wait are applied, and the evaluator hears of it. */
static void apply(struct fixture *f, size_t count)
{
	struct kv *kv = kv_slot_get(&f->slot);
	struct err err = ERR_INIT;

	if (count > 0 && kv_apply(kv, f->entries, count, &err) < 0)
		fail_msg("%s", err.text);
	kv_unref(kv);
	for (size_t i = 0; i < count; i++) {
		f->applied = f->entries[i].index;
		blob_unref(f->entries[i].data);
	}
	memmove(f->entries, f->entries + count, (f->entry_count - count) * sizeof(f->entries[0]));
	f->entry_count -= count;
	tell_applied(f, true);
}

static void apply_all(struct fixture *f)
{
	apply(f, f->entry_count);
}

static void ask_with(struct fixture *f, struct fs_msg m, uint64_t origin,
		     const struct fs_request *rq)
{
	struct eval_request *job = job_new(JOB_EVAL_REQUEST, sizeof(*job));

	fs_request_encode(rq, &job->data);
	job->origin = origin;
	job->msg = m;
	/* A client that knows no id yet names its session by its stamp. */
	if (m.seq > 0 && m.session_id == 0 && m.stamp == 0)
		job->msg.stamp = 1;
	job->msg.type = FS_MSG_REQUEST;
	job->msg.body = job->data.data;
	job->msg.body_len = job->data.len;
	list_add_tail(&f->jobs, &job->job.link);
}

static void ask(struct fixture *f, uint8_t client, uint64_t seq, uint8_t flags,
		const struct fs_request *rq)
{
	struct fs_msg m = { .flags = flags, .seq = seq, .low = 1, .tag = 100 + seq };

	memset(m.uuid, client, sizeof(m.uuid));
	ask_with(f, m, 1, rq);
}

static struct fs_request named(uint8_t op, const char *name)
{
	return (struct fs_request){
		.op = op,
		.ino = FS_ROOT_INO,
		.name = name,
		.name_len = strlen(name),
		.mode = 0755,
	};
}

static struct fs_request append(const char *value)
{
	return (struct fs_request){
		.op = FS_KV_APPEND,
		.name = "k",
		.name_len = 1,
		.data = value,
		.data_len = strlen(value),
	};
}

static struct kv_batch_head head_of(const struct raft_entry *e)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;

	assert_int_equal(kv_batch_decode(&head, &it, e->data->data, e->data->len), 0);
	return head;
}

static int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));
	struct kv_meta meta = { .group = GROUP, .applied_index = 1, .applied_term = TERM };
	struct fs_request root = { .op = FS_MAKE_ROOT };

	meta.conf = (struct raft_conf){ .index = 1, .count = 1 };
	meta.conf.members[0] = (struct raft_member){ .id = 1, .role = RAFT_VOTER };
	wall = 1000000000000000000ll;
	kv_slot_init(&f->slot, kv_new_memory(&meta));
	f->ev = evaluator_new(&f->slot, GROUP, wall_ns);
	list_init(&f->jobs);
	list_init(&f->out);
	f->applied = 1;
	role(f, true, TERM, 1, TERM);
	tell_applied(f, true);
	ask_with(f, (struct fs_msg){ .seq = 0 }, 0, &root);
	run(f);
	assert_int_equal(f->entry_count, 1);
	apply_all(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	evaluator_free(f->ev);
	list_for_each_safe (it, &f->jobs) {
		list_del(it);
		job_free(list_entry(it, struct job, link));
	}
	drop_entries(f);
	for (size_t i = 0; i < f->answer_count; i++)
		buf_release(&f->answers[i].reply);
	kv_slot_release(&f->slot);
	free(f);
	return 0;
}

/* ---- batches ------------------------------------------------------------------------------------ */

static void a_batch_names_the_entry_it_was_evaluated_on(void **state)
{
	struct fixture *f = *state;
	struct fs_request a = named(FS_MKDIR, "a"), b = named(FS_MKDIR, "b");

	ask(f, 7, 1, FS_MSG_BEGIN, &a);
	ask(f, 7, 2, 0, &b);
	run(f);
	assert_int_equal(f->entry_count, 2);
	for (size_t i = 0; i < 2; i++) {
		struct kv_batch_head head = head_of(&f->entries[i]);

		assert_int_equal(head.prev_index, f->entries[i].index - 1);
		assert_int_equal(head.prev_term, TERM);
		assert_int_equal(head.group, GROUP);
		assert_true(head.has_session);
		assert_int_equal(head.seq, i + 1);
	}
	apply_all(f); /* which asserts the position again */
}

static void a_batch_at_another_place_is_refused_by_apply(void **state)
{
	struct fixture *f = *state;
	struct fs_request a = named(FS_MKDIR, "a"), b = named(FS_MKDIR, "b");
	struct kv *kv = kv_slot_get(&f->slot);
	struct err err = ERR_INIT;

	ask(f, 7, 1, FS_MSG_BEGIN, &a);
	ask(f, 7, 2, 0, &b);
	run(f);
	f->entries[1].index--; /* as if the first had never been logged */
	assert_int_equal(kv_apply(kv, &f->entries[1], 1, &err), -EUCLEAN);
	kv_unref(kv);
}

static void requests_see_what_is_proposed_before_them(void **state)
{
	struct fixture *f = *state;
	struct fs_request dir = named(FS_MKDIR, "d"), rmdir = named(FS_RMDIR, "d");

	ask(f, 7, 1, FS_MSG_BEGIN, &dir);
	run(f);
	ask(f, 8, 1, FS_MSG_BEGIN, &dir); /* EEXIST by the overlay */
	ask(f, 7, 2, 0, &rmdir);
	ask(f, 8, 2, FS_MSG_BEGIN, &dir);
	run(f);
	assert_int_equal(f->answer_count, 1);
	assert_int_equal(f->answers[0].status, -EEXIST);
	assert_int_equal(f->entry_count, 3);
	apply_all(f);
}

static void an_answer_tells_how_far_it_saw(void **state)
{
	struct fixture *f = *state;
	struct fs_request dir = named(FS_MKDIR, "d");
	struct fs_request other = named(FS_MKDIR, "e");

	ask(f, 7, 1, FS_MSG_BEGIN, &dir);
	ask(f, 8, 1, FS_MSG_BEGIN, &dir);
	ask(f, 9, 1, FS_MSG_BEGIN, &other);
	run(f);
	assert_int_equal(f->answers[0].status, -EEXIST);
	assert_false(f->answers[0].executed);
	assert_int_equal(f->answers[0].seen_index, f->entries[0].index); /* the later one not */
}

static void stamps_strictly_increase_though_the_clock_stands_still_or_goes_back(void **state)
{
	struct fixture *f = *state;
	int64_t last = 0;

	for (uint64_t n = 1; n <= 20; n++) {
		struct fs_request more = append("x");

		ask(f, 7, n, n == 1 ? FS_MSG_BEGIN : 0, &more);
		if (n % 5 == 0)
			wall -= 1000000;
		run(f);
	}
	for (size_t i = 0; i < f->entry_count; i++) {
		assert_true(head_of(&f->entries[i]).wall_ns > last);
		last = head_of(&f->entries[i]).wall_ns;
	}
	apply_all(f);
}

/* ---- roles ---------------------------------------------------------------------------------------- */

static void nothing_is_evaluated_before_the_log_s_end_is_applied(void **state)
{
	struct fixture *f = *state;
	struct fs_request dir = named(FS_MKDIR, "d");
	struct raft_entry noop = { .index = 3, .term = TERM, .type = RAFT_ENTRY_NOOP };

	role(f, true, TERM, 3, TERM); /* entry 3, the new leader's first, is not applied yet */
	ask(f, 7, 1, FS_MSG_BEGIN, &dir);
	run(f);
	tell_applied(f, true);
	run(f);
	assert_int_equal(f->entry_count, 0);
	f->entries[f->entry_count++] = noop;
	apply_all(f);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).prev_index, 3);
}

/* Apply is a thread of its own: it may be ahead of the news that another node leads. */
static void nothing_is_evaluated_on_a_successors_state(void **state)
{
	struct fixture *f = *state;
	struct kv *kv = kv_slot_get(&f->slot);
	struct raft_entry noop = { .type = RAFT_ENTRY_NOOP, .term = TERM + 1 };
	struct fs_request a = named(FS_MKDIR, "a"), b = named(FS_MKDIR, "b");
	struct err err = ERR_INIT;

	ask(f, 7, 1, FS_MSG_BEGIN, &a);
	run(f);
	assert_int_equal(f->entry_count, 1);
	noop.index = f->entries[0].index;
	assert_int_equal(kv_apply(kv, &noop, 1, &err), 0);
	kv_unref(kv);
	ask(f, 7, 2, 0, &b);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(f->answer_count, 0);
}

static void a_refused_proposal_throws_the_overlay_away_and_evaluates_anew(void **state)
{
	struct fixture *f = *state;
	struct fs_request dir = named(FS_MKDIR, "d"), rmdir = named(FS_RMDIR, "d"),
			  other = named(FS_MKDIR, "e");

	ask(f, 7, 1, FS_MSG_BEGIN, &dir);
	ask(f, 7, 2, 0, &rmdir);
	run(f);
	assert_int_equal(f->entry_count, 2);
	drop_entries(f);
	role(f, true, TERM, f->applied, TERM);
	ask(f, 8, 1, FS_MSG_BEGIN, &other);
	run(f);
	/* In the order they had, and none lost. */
	assert_int_equal(f->entry_count, 3);
	assert_int_equal(head_of(&f->entries[0]).seq, 1);
	assert_int_equal(head_of(&f->entries[1]).seq, 2);
	assert_int_equal(head_of(&f->entries[2]).uuid[0], 8);
	assert_int_equal(head_of(&f->entries[0]).prev_index, f->applied);
	apply_all(f);
}

static void what_was_executed_after_all_is_not_executed_anew(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	apply(f, 1);
	role(f, true, TERM + 1, f->applied, TERM); /* before it heard of the apply */
	run(f);
	ask(f, 7, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &more);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_true(f->answer_count >= 1);
	assert_true(f->answers[f->answer_count - 1].executed);
}

static void a_follower_evaluates_nothing_and_keeps_nothing(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	role(f, false, TERM + 1, f->applied, TERM);
	ask(f, 7, 2, FS_MSG_BEGIN, &more);
	run(f);
	role(f, true, TERM, f->applied, TERM);
	run(f);
	tell_applied(f, true);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 0);
}

/* ---- sessions --------------------------------------------------------------------------------------- */

static void a_session_begins_with_its_first_operation(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	uint64_t begun;

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	begun = f->entries[0].index;
	assert_int_equal(head_of(&f->entries[0]).session_id, begun); /* the id is the log index */
	apply_all(f);
	ask(f, 7, 2, 0, &more);
	run(f);
	assert_int_equal(head_of(&f->entries[0]).session_id, begun);
	apply_all(f);
}

static void an_unknown_session_without_begin_is_stale(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask(f, 7, 4, FS_MSG_RETRY, &more);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 1);
	assert_int_equal(f->answers[0].status, -ESTALE);
	assert_false(f->answers[0].executed); /* it is a read: to be confirmed */
	assert_true(f->answers[0].expired);
	assert_true(f->answers[0].final);
}

static void a_duplicate_returns_the_stored_reply(void **state)
{
	struct fixture *f = *state;
	struct fs_request dir = named(FS_MKDIR, "d");
	struct fs_reply first, again;

	ask(f, 7, 1, FS_MSG_BEGIN, &dir);
	run(f);
	assert_int_equal(fs_reply_decode(&first, head_of(&f->entries[0]).reply,
					 head_of(&f->entries[0]).reply_len),
			 0);
	assert_true(first.attr.ino > 0);
	first.data = NULL;
	apply_all(f);
	ask(f, 7, 1, FS_MSG_RETRY, &dir);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 1);
	assert_true(f->answers[0].executed);
	assert_true(f->answers[0].final);
	assert_int_equal(f->answers[0].status, 0);
	assert_int_equal(f->answers[0].tag, 101);
	assert_int_equal(fs_reply_decode(&again, f->answers[0].reply.data, f->answers[0].reply.len),
			 0);
	assert_int_equal(again.attr.ino, first.attr.ino);
}

static void a_duplicate_of_a_proposed_number_waits_for_its_entry(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	ask(f, 7, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &more);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(f->answer_count, 0);
	apply_all(f);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 1);
	assert_true(f->answers[0].executed);
}

static void a_number_below_low_is_ignored(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	struct fs_msg m = { .flags = FS_MSG_BEGIN, .seq = 5, .low = 5 };

	memset(m.uuid, 7, sizeof(m.uuid));
	ask_with(f, m, 1, &more);
	run(f);
	apply_all(f);
	ask(f, 7, 3, FS_MSG_RETRY, &more);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 0);
}

static void a_number_beyond_the_window_waits_until_low_moves(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	struct fs_msg m = { .seq = 2, .low = 2 };

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	apply_all(f);
	ask(f, 7, KV_SESSION_WINDOW + 1, 0, &more); /* low is 1 */
	run(f);
	assert_int_equal(f->entry_count, 0);
	memset(m.uuid, 7, sizeof(m.uuid));
	ask_with(f, m, 1, &more);
	run(f);
	assert_int_equal(f->entry_count, 1);
	apply_all(f);
	run(f);
	assert_int_equal(f->entry_count, 1); /* the window has moved */
	assert_int_equal(head_of(&f->entries[0]).seq, KV_SESSION_WINDOW + 1);
}

/* A session's end as the leader asks for it. */
static void ask_end(struct fixture *f, uint8_t client, uint64_t id)
{
	uint8_t name[FS_SESSION_NAME_SIZE];
	struct fs_request rq = { .op = FS_SESSION_END, .data = name, .data_len = sizeof(name) };

	memset(name, client, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, id);
	ask_with(f, (struct fs_msg){ .seq = 0 }, 0, &rq);
}

/* By id when it is not 0. */
static void ask_as(struct fixture *f, uint8_t client, uint64_t id, uint64_t stamp, uint64_t seq,
		   uint8_t flags, const struct fs_request *rq)
{
	struct fs_msg m = {
		.flags = flags, .seq = seq, .low = 1, .session_id = id, .stamp = stamp
	};

	memset(m.uuid, client, sizeof(m.uuid));
	ask_with(f, m, 1, rq);
}

static void assert_all_expired(struct fixture *f, size_t from, size_t count)
{
	assert_int_equal(f->answer_count, from + count);
	for (size_t i = from; i < f->answer_count; i++) {
		assert_int_equal(f->answers[i].status, -ESTALE);
		assert_true(f->answers[i].expired && f->answers[i].final);
		assert_false(f->answers[i].executed); /* so it waits for its confirmation */
	}
}

static void an_end_is_an_entry_and_nothing_executes_behind_it(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	uint64_t id;

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	id = head_of(&f->entries[0]).session_id;
	apply_all(f);
	ask_end(f, 7, id);
	ask_as(f, 7, id, 0, 2, 0, &more);                           /* new */
	ask_as(f, 7, id, 0, 1, FS_MSG_RETRY, &more);                /* answered once */
	ask_as(f, 7, 0, 1, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &more);  /* a late copy of the first */
	ask_as(f, 7, 0, 1, 9, FS_MSG_BEGIN, &more);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).end_count, 1);
	assert_false(head_of(&f->entries[0]).has_session);
	assert_all_expired(f, 0, 4);
	apply_all(f);
	ask_as(f, 7, id, 0, 2, FS_MSG_RETRY, &more); /* and as much when it is applied */
	ask_as(f, 7, 0, 1, 1, FS_MSG_BEGIN, &more);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_all_expired(f, 4, 2);
	/* With a stamp from after that it is a new client, whatever it calls itself. */
	ask_as(f, 7, 0, f->applied, 1, FS_MSG_BEGIN, &more);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_true(head_of(&f->entries[0]).begins);
	apply_all(f);
}

static void an_operation_in_front_of_the_end_executes(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	ask(f, 7, 2, FS_MSG_BEGIN, &more);
	ask_end(f, 7, head_of(&f->entries[0]).session_id); /* while its beginning is only proposed */
	run(f);
	assert_int_equal(f->entry_count, 3);
	assert_int_equal(head_of(&f->entries[1]).seq, 2);
	assert_int_equal(head_of(&f->entries[2]).end_count, 1);
	apply_all(f);
}

static void the_end_of_what_is_gone_costs_no_entry(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask_end(f, 7, 1);
	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	ask_end(f, 7, 1); /* another id */
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).end_count, 0);
}

static void a_proposed_end_that_was_refused_ended_nobody(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	uint64_t id;

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	id = head_of(&f->entries[0]).session_id;
	apply_all(f);
	ask_end(f, 7, id);
	run(f);
	drop_entries(f);
	role(f, false, TERM + 1, f->applied, TERM); /* another leader does not propose it */
	run(f);
	role(f, true, TERM + 2, f->applied, TERM);
	tell_applied(f, true);
	ask_as(f, 7, id, 0, 2, 0, &more);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).seq, 2);
}

static void a_session_replaces_another_by_the_entry_that_begins_it(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	uint8_t name[FS_SESSION_NAME_SIZE];
	struct fs_request begin = { .op = FS_SESSION_BEGIN, .data = name, .data_len = sizeof(name) };
	struct kv_batch_head head;
	uint64_t old;

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	old = head_of(&f->entries[0]).session_id;
	apply_all(f);
	memset(name, 7, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, old);
	ask_as(f, 8, 0, 2, 1, FS_MSG_BEGIN, &begin);
	ask_as(f, 7, old, 0, 2, 0, &more); /* the ghost of the old one */
	run(f);
	assert_int_equal(f->entry_count, 1);
	head = head_of(&f->entries[0]);
	assert_true(head.begins);
	assert_int_equal(head.end_count, 1);
	assert_int_equal(kv_session_end_at(&head, 0).session_id, old);
	assert_all_expired(f, 0, 1);
	apply_all(f);
	/* A second copy of the beginning is a duplicate, and ends nobody. */
	ask_as(f, 8, 0, 2, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &begin);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_true(f->answers[1].executed);
}

static void nobody_replaces_himself(void **state)
{
	struct fixture *f = *state;
	uint8_t name[FS_SESSION_NAME_SIZE];
	struct fs_request begin = { .op = FS_SESSION_BEGIN, .data = name, .data_len = sizeof(name) };
	struct fs_request more = append("x");

	ask(f, 7, 1, FS_MSG_BEGIN, &more);
	run(f);
	memset(name, 7, KV_UUID_SIZE);
	store_le64(name + KV_UUID_SIZE, head_of(&f->entries[0]).session_id);
	apply_all(f);
	ask(f, 7, 2, FS_MSG_BEGIN, &begin);
	run(f);
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).end_count, 0);
	apply_all(f);
}

static void a_stamp_from_the_future_begins_nothing(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");

	ask_as(f, 7, 0, f->applied + 1, 1, FS_MSG_BEGIN, &more);
	ask_as(f, 7, 0, UINT64_MAX, 1, FS_MSG_BEGIN, &more);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, 2);
	assert_int_equal(f->answers[0].status, -EINVAL);
	assert_int_equal(f->answers[1].status, -EINVAL);
}

static void more_sessions_than_the_limit_are_refused(void **state)
{
	struct fixture *f = *state;
	struct fs_request more = append("x");
	struct job_eval_role *limit = job_new(JOB_EVAL_ROLE, sizeof(*limit));
	uint64_t first;

	*limit = (struct job_eval_role){ .job = limit->job,
					 .generation = ++f->generation,
					 .leader = true,
					 .term = TERM,
					 .last_index = f->applied,
					 .last_term = TERM,
					 .sessions_max = 3 };
	list_add_tail(&f->jobs, &limit->job.link);
	for (uint8_t client = 1; client <= 5; client++)
		ask(f, client, 1, FS_MSG_BEGIN, &more);
	run(f);
	assert_int_equal(f->entry_count, 3);
	assert_int_equal(f->answer_count, 2);
	assert_int_equal(f->answers[0].status, -EUSERS);
	first = head_of(&f->entries[0]).session_id;
	ask(f, 1, 2, FS_MSG_BEGIN, &more); /* who is in goes on */
	ask_end(f, 1, first);
	ask_as(f, 9, 0, 2, 1, FS_MSG_BEGIN, &more); /* and there is room again */
	run(f);
	assert_int_equal(f->entry_count, 6);
	apply_all(f);
}

static void log_time_goes_on_where_the_log_before_it_ended(void **state)
{
	struct fixture *f = *state;
	static const uint64_t elapsed[] = { 100, 400, 300, 900 };
	static const uint64_t want[] = { 100, 400, 400, 900 }; /* never back */
	struct fs_request more = append("x");

	for (uint64_t i = 0; i < 4; i++) {
		ask(f, 7, i + 1, FS_MSG_BEGIN, &more);
		CONTAINER_OF(list_entry(f->jobs.prev, struct job, link), struct eval_request, job)
			->elapsed_ms = elapsed[i];
		run(f);
		assert_int_equal(head_of(&f->entries[i]).log_ms, want[i]);
	}
	apply(f, 3); /* the fourth is lost with its leader */
	drop_entries(f);
	role(f, true, TERM + 1, f->applied, TERM);
	run(f);
	ask(f, 7, 5, FS_MSG_BEGIN, &more);
	CONTAINER_OF(list_entry(f->jobs.prev, struct job, link), struct eval_request, job)->elapsed_ms = 50;
	run(f);
	/* What was under way in the old leadership is evaluated anew in the new one's time. */
	assert_int_equal(head_of(&f->entries[0]).seq, 4);
	assert_int_equal(head_of(&f->entries[0]).log_ms, 400);
	assert_int_equal(head_of(&f->entries[1]).log_ms, 400 + 50);
	drop_entries(f);
	role(f, true, TERM + 1, f->applied, TERM); /* the same leadership: counted once */
	run(f);
	assert_int_equal(head_of(&f->entries[1]).log_ms, 400 + 50);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

static void an_error_costs_no_entry_and_begins_no_session(void **state)
{
	struct fixture *f = *state;
	struct fs_request gone = named(FS_UNLINK, "none");

	ask(f, 7, 1, FS_MSG_BEGIN, &gone);
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answers[0].status, -ENOENT);
	assert_int_equal(f->answers[0].session_id, 0);
	assert_false(f->answers[0].executed);
	assert_false(f->answers[0].final); /* a RETRY under way may still succeed */
}

static void an_error_that_answers_a_retry_is_logged_under_its_number(void **state)
{
	struct fixture *f = *state;
	struct fs_request gone = named(FS_UNLINK, "f"), make = named(FS_MKNOD, "f");
	struct kv_batch_head head;

	make.mode = 0100644;
	ask(f, 7, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &gone);
	run(f);
	assert_int_equal(f->answer_count, 0);
	assert_int_equal(f->entry_count, 1);
	head = head_of(&f->entries[0]);
	assert_int_equal(head.status, -ENOENT);
	assert_int_equal(head.seq, 1);
	apply_all(f);
	ask(f, 8, 1, FS_MSG_BEGIN, &make);
	run(f);
	apply_all(f);
	ask(f, 7, 1, FS_MSG_BEGIN, &gone); /* the first copy, late */
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answers[0].status, -ENOENT);
	assert_true(f->answers[0].executed);
}

static void success_without_effect_is_logged_when_it_answers_a_retry(void **state)
{
	struct fixture *f = *state;
	struct fs_request none = { .op = FS_KV_DELETE, .name = "none", .name_len = 4 };

	ask(f, 7, 1, FS_MSG_BEGIN | FS_MSG_RETRY, &none);
	run(f);
	assert_int_equal(f->entry_count + f->answer_count, 1);
	assert_int_equal(f->entry_count, 1);
	apply_all(f);
}

static void internal_operations_and_reads_are_refused_from_clients(void **state)
{
	struct fixture *f = *state;
	static const uint8_t ops[] = { FS_RECLAIM, FS_ORPHAN_HOLD, FS_MAKE_ROOT, FS_GETATTR,
				       FS_READ };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct fs_request rq = { .op = ops[i], .ino = FS_ROOT_INO };

		ask(f, 7, i + 1, FS_MSG_BEGIN, &rq);
	}
	run(f);
	assert_int_equal(f->entry_count, 0);
	assert_int_equal(f->answer_count, ARRAY_SIZE(ops));
	for (size_t i = 0; i < f->answer_count; i++)
		assert_int_equal(f->answers[i].status, -EINVAL);
}

static void a_request_that_does_not_decode_is_refused(void **state)
{
	struct fixture *f = *state;
	struct eval_request *job = job_new(JOB_EVAL_REQUEST, sizeof(*job));

	buf_put(&job->data, "junk", 4);
	job->origin = 1;
	job->msg = (struct fs_msg){
		.type = FS_MSG_REQUEST, .flags = FS_MSG_BEGIN, .seq = 1, .low = 1, .stamp = 1
	};
	job->msg.body = job->data.data;
	job->msg.body_len = job->data.len;
	list_add_tail(&f->jobs, &job->job.link);
	run(f);
	assert_int_equal(f->answers[0].status, -EINVAL);
}

/* ---- space --------------------------------------------------------------------------------------------- */

static void without_space_growth_is_refused_and_deletes_are_not(void **state)
{
	struct fixture *f = *state;
	struct fs_request put = append("x"), dir = named(FS_MKDIR, "d"),
			  rmdir = named(FS_RMDIR, "d");
	struct fs_request del = { .op = FS_KV_DELETE, .name = "k", .name_len = 1 };

	ask(f, 7, 1, FS_MSG_BEGIN, &put);
	ask(f, 7, 2, 0, &dir);
	run(f);
	apply_all(f);
	tell_applied(f, false);
	ask(f, 7, 3, 0, &put);
	ask(f, 7, 4, 0, &del);
	ask(f, 7, 5, 0, &rmdir);
	ask(f, 7, 6, 0, &dir);
	run(f);
	assert_int_equal(f->entry_count, 2); /* both deletes */
	assert_int_equal(f->answer_count, 2);
	assert_int_equal(f->answers[0].status, -ENOSPC);
	assert_int_equal(f->answers[1].status, -ENOSPC);
	apply_all(f); /* and says that there is space again */
	ask(f, 7, 7, 0, &put);
	run(f);
	assert_int_equal(f->entry_count, 1);
}

/* ---- blocked ------------------------------------------------------------------------------------------- */

/* A write into the stale range of a large truncate has to wait until that is reclaimed. */
static void a_blocked_request_is_parked_and_evaluated_again_from_the_start(void **state)
{
	struct fixture *f = *state;
	struct fs_request make = named(FS_CREATE, "big");
	struct fs_request grow = { .op = FS_SETATTR, .valid = FS_SET_SIZE };
	struct fs_request write = { .op = FS_WRITE, .data = "x", .data_len = 1 };
	struct fs_request reclaim = { .op = FS_RECLAIM, .flags = FS_RECLAIM_TRUNCATE };
	struct fs_request unrelated = append("x");
	struct fs_reply reply;
	uint64_t seq = 2;
	int steps = 0;

	ask(f, 7, 1, FS_MSG_BEGIN, &make);
	run(f);
	assert_int_equal(fs_reply_decode(&reply, head_of(&f->entries[0]).reply,
					 head_of(&f->entries[0]).reply_len),
			 0);
	grow.ino = write.ino = reclaim.ino = reply.attr.ino;
	apply_all(f);
	/* More rows than one entry may drop, one byte each. */
	for (uint64_t b = 0; b < FS_RECLAIM_BLOCKS + 40; b++) {
		struct fs_msg m = { .seq = seq, .low = seq };

		seq++;
		memset(m.uuid, 7, sizeof(m.uuid));
		write.offset = b * KV_BLOCK_SIZE;
		ask_with(f, m, 1, &write);
		run(f);
		apply_all(f);
	}
	assert_int_equal(f->answer_count, 0);
	for (int k = 0; k < 3; k++) { /* truncate; write beyond it; something else */
		struct fs_msg m = { .seq = seq,
				    .low = k == 2 ? seq - 1 : seq }; /* the write is open */

		seq++;
		memset(m.uuid, 7, sizeof(m.uuid));
		write.offset = (FS_RECLAIM_BLOCKS + 20) * (uint64_t)KV_BLOCK_SIZE;
		ask_with(f, m, 1, k == 0 ? &grow : k == 1 ? &write : &unrelated);
	}
	run(f);
	assert_int_equal(f->answer_count, 0);
	assert_int_equal(f->entry_count,
			 2); /* the truncate and the unrelated one: nobody waits behind it */
	apply_all(f);
	run(f);
	for (; steps < 10 && f->entry_count == 0; steps++) {
		ask_with(f, (struct fs_msg){ .seq = 0 }, 0, &reclaim);
		run(f);
		assert_int_equal(f->entry_count, 1);
		apply_all(f);
		run(f); /* parked requests are looked at again after every apply */
	}
	assert_int_equal(f->entry_count, 1);
	assert_int_equal(head_of(&f->entries[0]).seq, seq - 2);
	apply_all(f);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_batch_names_the_entry_it_was_evaluated_on),
		T(a_batch_at_another_place_is_refused_by_apply),
		T(requests_see_what_is_proposed_before_them),
		T(an_answer_tells_how_far_it_saw),
		T(stamps_strictly_increase_though_the_clock_stands_still_or_goes_back),
		T(nothing_is_evaluated_before_the_log_s_end_is_applied),
		T(nothing_is_evaluated_on_a_successors_state),
		T(a_refused_proposal_throws_the_overlay_away_and_evaluates_anew),
		T(what_was_executed_after_all_is_not_executed_anew),
		T(a_follower_evaluates_nothing_and_keeps_nothing),
		T(a_session_begins_with_its_first_operation),
		T(an_unknown_session_without_begin_is_stale),
		T(a_duplicate_returns_the_stored_reply),
		T(a_duplicate_of_a_proposed_number_waits_for_its_entry),
		T(a_number_below_low_is_ignored),
		T(a_number_beyond_the_window_waits_until_low_moves),
		T(an_end_is_an_entry_and_nothing_executes_behind_it),
		T(an_operation_in_front_of_the_end_executes),
		T(the_end_of_what_is_gone_costs_no_entry),
		T(a_proposed_end_that_was_refused_ended_nobody),
		T(a_session_replaces_another_by_the_entry_that_begins_it),
		T(nobody_replaces_himself),
		T(a_stamp_from_the_future_begins_nothing),
		T(more_sessions_than_the_limit_are_refused),
		T(log_time_goes_on_where_the_log_before_it_ended),
		T(an_error_costs_no_entry_and_begins_no_session),
		T(an_error_that_answers_a_retry_is_logged_under_its_number),
		T(success_without_effect_is_logged_when_it_answers_a_retry),
		T(internal_operations_and_reads_are_refused_from_clients),
		T(a_request_that_does_not_decode_is_refused),
		T(without_space_growth_is_refused_and_deletes_are_not),
		T(a_blocked_request_is_parked_and_evaluated_again_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
