/* klock.c - see klock.h; a hash table of inodes with locks, each with a short array of owners. */
#include "fs/fuse/klock.h"

#include "base/buf.h"

struct klock {
	struct hnode node;
	uint64_t ino;
	uint64_t session, index; /* of the latest answer */
	uint32_t left;           /* locks that the session then had */
	uint64_t lost_fh;        /* handles below have lost their locks */
	struct klock_owner *owners;
	size_t owner_count, owner_cap;
};

void klock_table_init(struct klock_table *t)
{
	pthread_mutex_init(&t->lock, NULL);
	t->by_ino = HTABLE_INIT;
	atomic_init(&t->count, 0);
}

static void free_klock(struct hnode *node, void *ctx)
{
	struct klock *k = CONTAINER_OF(node, struct klock, node);

	(void)ctx;
	free(k->owners);
	free(k);
}

void klock_table_release(struct klock_table *t)
{
	htable_each(&t->by_ino, free_klock, NULL);
	htable_release(&t->by_ino);
	pthread_mutex_destroy(&t->lock);
}

/* ---- with the lock held ---- */

static struct klock *find(const struct klock_table *t, uint64_t ino)
{
	for (struct hnode *n = htable_first(&t->by_ino, hash_u64(ino)); n; n = htable_next(n)) {
		struct klock *k = CONTAINER_OF(n, struct klock, node);

		if (k->ino == ino)
			return k;
	}
	return NULL;
}

static struct klock *find_or_add(struct klock_table *t, uint64_t ino)
{
	struct klock *k = find(t, ino);

	if (!k) {
		k = mem_calloc(1, sizeof(*k));
		k->ino = ino;
		htable_add(&t->by_ino, &k->node, hash_u64(ino));
		atomic_fetch_add(&t->count, 1);
	}
	return k;
}

static struct klock_owner *find_owner(struct klock *k, uint8_t kind, uint64_t owner)
{
	for (size_t i = 0; k && i < k->owner_count; i++)
		if (k->owners[i].kind == kind && k->owners[i].owner == owner)
			return &k->owners[i];
	return NULL;
}

static void add_owner(struct klock *k, const struct klock_owner *who)
{
	struct klock_owner *o = find_owner(k, who->kind, who->owner);

	if (o) {
		o->fh = who->fh;
		return;
	}
	if (k->owner_count == k->owner_cap) {
		k->owner_cap = k->owner_cap ? 2 * k->owner_cap : 2;
		k->owners = mem_realloc(k->owners, k->owner_cap * sizeof(*k->owners));
	}
	k->owners[k->owner_count++] = *who;
}

static void remove_owner(struct klock *k, struct klock_owner *o)
{
	*o = k->owners[--k->owner_count];
}

static bool is_lost(const struct klock *k, uint64_t fh)
{
	return fh < k->lost_fh;
}

/* ---- public ---- */

int klock_ask(struct klock_table *t, uint64_t ino, const struct klock_owner *who)
{
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	struct klock *k = find_or_add(t, ino);
	const struct klock_owner *o = find_owner(k, who->kind, who->owner);

	if (is_lost(k, who->fh))
		ret = -EIO;
	else if (o && o->releasing)
		ret = -ETIMEDOUT;
	else
		add_owner(k, who);
	pthread_mutex_unlock(&t->lock);
	return ret;
}

bool klock_has_asked(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner)
{
	pthread_mutex_lock(&t->lock);
	bool has = find_owner(find(t, ino), kind, owner) != NULL;

	pthread_mutex_unlock(&t->lock);
	return has;
}

void klock_note(struct klock_table *t, uint64_t ino, const struct klock_owner *who,
		const struct fs_lock_reply *reply, bool granted)
{
	pthread_mutex_lock(&t->lock);
	struct klock *k = granted ? find_or_add(t, ino) : find(t, ino);

	/* A thread's close may have released, and forgotten, what this one was waiting for. */
	if (granted)
		add_owner(k, who);
	/* Later sessions have later entries. */
	if (k && reply->index >= k->index) {
		k->session = reply->session;
		k->index = reply->index;
		k->left = reply->left;
	}
	pthread_mutex_unlock(&t->lock);
}

int klock_use(struct klock_table *t, uint64_t ino, uint64_t fh, uint64_t *fence)
{
	int ret = 0;

	*fence = 0;
	if (atomic_load(&t->count) == 0)
		return 0;
	pthread_mutex_lock(&t->lock);
	const struct klock *k = find(t, ino);

	if (k && is_lost(k, fh))
		ret = -EIO;
	else if (k && k->left > 0)
		*fence = k->session;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

bool klock_close(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner)
{
	if (atomic_load(&t->count) == 0)
		return false;
	pthread_mutex_lock(&t->lock);
	struct klock *k = find(t, ino);
	struct klock_owner *o = find_owner(k, kind, owner);
	bool has = o && !o->releasing;

	if (has)
		remove_owner(k, o);
	pthread_mutex_unlock(&t->lock);
	return has;
}

void klock_releasing(struct klock_table *t, uint64_t ino, uint8_t kind, uint64_t owner,
		     bool releasing)
{
	pthread_mutex_lock(&t->lock);
	struct klock *k = find(t, ino);
	struct klock_owner *o = find_owner(k, kind, owner);

	if (!releasing && o && o->releasing)
		remove_owner(k, o);
	else if (releasing && k && !o)
		add_owner(k,
			  &(struct klock_owner){ .kind = kind, .owner = owner, .releasing = true });
	pthread_mutex_unlock(&t->lock);
}

bool klock_take_of_handle(struct klock_table *t, uint64_t ino, uint64_t fh, struct klock_owner *who)
{
	bool found = false;

	if (atomic_load(&t->count) == 0)
		return false;
	pthread_mutex_lock(&t->lock);
	struct klock *k = find(t, ino);

	for (size_t i = 0; k && i < k->owner_count && !found; i++) {
		if (k->owners[i].fh != fh || k->owners[i].releasing)
			continue;
		found = true;
		*who = k->owners[i];
		remove_owner(k, &k->owners[i]);
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

void klock_forget(struct klock_table *t, uint64_t ino)
{
	if (atomic_load(&t->count) == 0)
		return;
	pthread_mutex_lock(&t->lock);
	struct klock *k = find(t, ino);

	if (k) {
		htable_del(&t->by_ino, &k->node);
		atomic_fetch_sub(&t->count, 1);
		free_klock(&k->node, NULL);
	}
	pthread_mutex_unlock(&t->lock);
}

struct lost {
	uint64_t session, next_fh;
	size_t count;
};

static void lose(struct hnode *node, void *ctx)
{
	struct klock *k = CONTAINER_OF(node, struct klock, node);
	struct lost *lost = ctx;

	if (k->left == 0 || k->session != lost->session)
		return;
	k->lost_fh = lost->next_fh;
	k->left = 0;
	lost->count++;
}

size_t klock_lost(struct klock_table *t, uint64_t session, uint64_t next_fh)
{
	struct lost lost = { .session = session, .next_fh = next_fh };

	pthread_mutex_lock(&t->lock);
	htable_each(&t->by_ino, lose, &lost);
	pthread_mutex_unlock(&t->lock);
	return lost.count;
}
