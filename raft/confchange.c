/*
 * confchange.c - what a change makes of a configuration; pure arithmetic on members' roles.
 *
 * A change works on the incoming half. While a configuration is joint, the outgoing half stays what
 * it was, so a voter in it that is removed or demoted keeps VOTER_OUT, and one that is to be a
 * learner waits as LEARNER_NEXT: nobody is counted as voter and learner at the same time. Results
 * and texts are those of etcd/raft (confchange.go), which serves as our oracle.
 */
#include "raft/membership.h"

bool raft_conf_joint(const struct raft_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].role & RAFT_VOTER_OUT)
			return true;
	}
	return false;
}

static size_t voter_count(const struct raft_conf *conf)
{
	size_t count = 0;

	for (size_t i = 0; i < conf->count; i++)
		count += (conf->members[i].role & RAFT_VOTER) != 0;
	return count;
}

static struct raft_member *find(struct raft_conf *conf, uint64_t id)
{
	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].id == id)
			return &conf->members[i];
	}
	return NULL;
}

static void drop(struct raft_conf *conf, struct raft_member *m)
{
	size_t at = (size_t)(m - conf->members);

	memmove(m, m + 1, (conf->count - at - 1) * sizeof(*m));
	conf->members[--conf->count] = (struct raft_member){ .id = 0 };
}

static struct raft_member *insert(struct raft_conf *conf, uint64_t id)
{
	size_t at = 0;

	if (conf->count == RAFT_NODES_MAX)
		return NULL;
	while (at < conf->count && conf->members[at].id < id)
		at++;
	memmove(&conf->members[at + 1], &conf->members[at],
		(conf->count - at) * sizeof(conf->members[0]));
	conf->count++;
	conf->members[at] = (struct raft_member){ .id = id };
	return &conf->members[at];
}

static void remove_member(struct raft_conf *conf, uint64_t id)
{
	struct raft_member *m = find(conf, id);

	if (m == NULL)
		return;
	m->role &= RAFT_VOTER_OUT;
	if (m->role == 0)
		drop(conf, m);
}

static void make_voter(struct raft_member *m)
{
	m->role = (uint8_t)((m->role & RAFT_VOTER_OUT) | RAFT_VOTER);
}

static void make_learner(struct raft_member *m)
{
	if (m->role & RAFT_VOTER_OUT)
		m->role = RAFT_VOTER_OUT | RAFT_LEARNER_NEXT;
	else
		m->role = RAFT_LEARNER;
}

int conf_change_one(struct raft_conf *conf, const struct raft_change *c, struct err *err)
{
	struct raft_member *m;

	if (c->id == 0)
		return 0;
	if (c->op < RAFT_ADD_VOTER || c->op > RAFT_UPDATE)
		return err_set(err, -EINVAL, "unexpected conf type %u", c->op);
	if (c->op == RAFT_REMOVE) {
		remove_member(conf, c->id);
		return 0;
	}
	m = find(conf, c->id);
	if (m == NULL && c->op == RAFT_UPDATE)
		return 0;
	if (m == NULL)
		m = insert(conf, c->id);
	if (m == NULL)
		return err_set(err, -EINVAL, "more than %d members", RAFT_NODES_MAX);
	if (c->op == RAFT_ADD_VOTER)
		make_voter(m);
	else if (c->op == RAFT_ADD_LEARNER)
		make_learner(m);
	if (c->address[0] != '\0')
		memcpy(m->address, c->address, sizeof(m->address));
	return 0;
}

static int change_all(struct raft_conf *conf, const struct raft_conf_change *change,
		      struct err *err)
{
	for (size_t i = 0; i < change->count; i++) {
		int ret = conf_change_one(conf, &change->v[i], err);

		if (ret < 0)
			return ret;
	}
	if (voter_count(conf) == 0)
		return err_set(err, -EINVAL, "removed all voters");
	return 0;
}

static int enter_joint(struct raft_conf *conf, const struct raft_conf_change *change,
		       struct err *err)
{
	if (raft_conf_joint(conf))
		return err_set(err, -EINVAL, "config is already joint");
	if (voter_count(conf) == 0)
		return err_set(err, -EINVAL, "can't make a zero-voter config joint");
	for (size_t i = 0; i < conf->count; i++) {
		if (conf->members[i].role & RAFT_VOTER)
			conf->members[i].role |= RAFT_VOTER_OUT;
	}
	conf->auto_leave = change->transition == RAFT_JOINT_AUTO;
	return change_all(conf, change, err);
}

static int leave_joint(struct raft_conf *conf, struct err *err)
{
	size_t i = 0;

	if (!raft_conf_joint(conf))
		return err_set(err, -EINVAL, "can't leave a non-joint config");
	while (i < conf->count) {
		struct raft_member *m = &conf->members[i];

		if (m->role & RAFT_LEARNER_NEXT)
			m->role = RAFT_LEARNER;
		m->role &= (uint8_t)~RAFT_VOTER_OUT;
		if (m->role == 0)
			drop(conf, m);
		else
			i++;
	}
	conf->auto_leave = false;
	return 0;
}

/* How many voters of a are none in b. */
static size_t voters_missing(const struct raft_conf *a, const struct raft_conf *b)
{
	size_t missing = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct raft_member *m = raft_conf_find(b, a->members[i].id);

		if (a->members[i].role & RAFT_VOTER)
			missing += m == NULL || !(m->role & RAFT_VOTER);
	}
	return missing;
}

static int change_simply(struct raft_conf *conf, const struct raft_conf_change *change,
			 struct err *err)
{
	struct raft_conf old = *conf;
	int ret;

	if (raft_conf_joint(conf))
		return err_set(err, -EINVAL, "can't apply simple config change in joint config");
	ret = change_all(conf, change, err);
	if (ret < 0)
		return ret;
	if (voters_missing(&old, conf) + voters_missing(conf, &old) > 1)
		return err_set(err, -EINVAL,
			       "more than one voter changed without entering joint config");
	return 0;
}

int raft_conf_change(const struct raft_conf *conf, const struct raft_conf_change *change,
		     struct raft_conf *next, struct err *err)
{
	struct raft_conf work = *conf;
	int ret;

	assert(conf_valid(conf));
	switch (change->transition) {
	case RAFT_JOINT_AUTO:
	case RAFT_JOINT_EXPLICIT:
		ret = enter_joint(&work, change, err);
		break;
	case RAFT_SIMPLE:
		ret = change_simply(&work, change, err);
		break;
	case RAFT_LEAVE_JOINT:
		ret = leave_joint(&work, err);
		break;
	default:
		ret = err_set(err, -EINVAL, "unexpected transition %u", change->transition);
		break;
	}
	if (ret < 0)
		return ret;
	assert(conf_valid(&work));
	*next = work;
	return 0;
}

bool conf_payload_sound(const struct blob *data)
{
	struct raft_conf conf;
	struct raft_conf_change change;

	return data != NULL && (raft_conf_decode(&conf, data->data, data->len) == 0 ||
				raft_conf_change_decode(&change, data->data, data->len) == 0);
}

int raft_conf_apply(struct raft_conf *conf, const struct raft_entry *entry)
{
	const struct blob *data = entry->data;
	struct raft_conf_change change;
	struct raft_conf next;

	assert(entry->type == RAFT_ENTRY_CONF);
	if (data == NULL)
		return -EPROTO;
	if (raft_conf_decode(&next, data->data, data->len) == 0) {
		*conf = next;
	} else if (raft_conf_change_decode(&change, data->data, data->len) == 0) {
		if (raft_conf_change(conf, &change, &next, NULL) == 0)
			*conf = next;
	} else {
		return -EPROTO;
	}
	conf->index = entry->index;
	return 0;
}
