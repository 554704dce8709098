/*
 * snapshot_flip.pml - one node's durable state: applying, checkpoints, sealing images, cutting the log, and
 * the flip to a received image, with a crash or a power loss between any two steps.
 *
 * Indexes stand for entries. The cluster's log is fixed; this node's holds its first `good` entries rightly,
 * and behind them, up to `last`, entries of a leader that never committed them. An entry that was durable
 * here once was promised; it must be in the log or in the state for ever.
 *
 * Checked after every crash, when the node has read what is on the disk:
 *   the state that the superblock names is there whole; the log joins it without a gap; nothing promised is
 *   lost; no entry of a dead leader lies above a state that has passed it. And always: what was cut off the
 *   log is in a sealed image, so that a late peer can be served.
 *
 * SQLite loses a tail of its commits at a power loss, down to the last checkpoint; not when only the process
 * dies. Each rule is left out by -D of its name; run.sh knows what must be found then.
 */
#ifndef LAST
#define LAST 4
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* on the disk */
byte base;          /* superblock: the log begins behind it */
byte first = 1;     /* the lowest entry whose segment is still there */
byte good, last;
byte applied;       /* of the state that the superblock names; durable: what a checkpoint has synced */
byte durable;
bool whole = true;  /* that state's file was synced before the superblock named it */
byte sealed;        /* newest sealed image; 0: none */
bool sealed_whole;  /* its bytes were synced before its name was */

/* what is under way, gone after a crash */
mtype = { idle, written, synced, based };
mtype seal = idle, install = idle, cut = idle;
byte seal_at, install_at, cut_to;
byte commit;

/* the truth */
byte promised, cluster, crashes;
bool down;

inline forget()
{
	seal = idle; seal_at = 0;
	install = idle; install_at = 0;
	cut = idle; cut_to = 0
}

inline recovered()
{
	assert(whole);                               /* the state is there */
	assert(base <= applied);                     /* and not older than the log's beginning */
	assert(first <= base + 1);                   /* no gap in the log */
	assert(applied <= last || base == applied);  /* nor between it and the state */
	assert(MAX(applied, good) >= promised);      /* nothing promised is lost */
	assert(applied <= good || last <= good)      /* nothing dead above the state */
}

inline served()
{
	assert(base == 0 || (sealed >= base && sealed_whole))
}

active proctype node()
{
	do
	/* --- the cluster and its leaders --- */
	:: d_step { !down && cluster < LAST -> cluster++ }
	:: d_step { !down && last == good && good < LAST -> /* an entry, synced and answered */
		good++; last++; promised = MAX(promised, good) }
	:: d_step { !down && last < LAST -> last++ } /* one of a leader that will fail */
	:: d_step { !down && last > good && applied <= good -> last = good } /* ... replaced by its successor */
	:: d_step { !down && commit < MIN(good, cluster) -> commit++ }

	/* --- applying, checkpoints --- */
	:: d_step { !down && install != based && applied < commit && applied + 1 >= first -> applied++ }
	:: d_step { !down && install != based && durable < applied -> durable = applied }

	/* --- sealing an image of the applied state --- */
	:: d_step { !down && seal == idle && applied > sealed -> seal = written; seal_at = applied }
	:: d_step { !down && seal == written -> seal = synced }
#ifdef SEAL_UNSYNCED
	:: d_step { !down && seal == written -> sealed = seal_at; sealed_whole = false; seal = based }
	:: d_step { !down && seal == based -> sealed_whole = true; seal = idle; seal_at = 0 }
#endif
	:: d_step { !down && seal == synced && seal_at > sealed ->
		sealed = seal_at; sealed_whole = true; seal = idle; seal_at = 0 }
	:: d_step { !down && seal == synced && seal_at <= sealed -> seal = idle; seal_at = 0 }

	/* --- cutting the log: the superblock first, then segment after segment --- */
	:: d_step { !down && cut == idle && install == idle ->
#ifdef CUT_APPLIED
		cut_to = MIN(applied, sealed);
#else
#ifdef CUT_UNSEALED
		cut_to = MIN(durable, MAX(sealed, seal_at));
#else
		cut_to = MIN(durable, sealed);
#endif
#endif
		if
		:: cut_to > base -> cut = written
		:: else -> cut_to = 0
		fi }
#ifdef DELETE_FIRST
	:: d_step { !down && cut == written && first <= cut_to -> first++ }
	:: d_step { !down && cut == written && first > cut_to -> base = cut_to; cut = idle; cut_to = 0; served() }
#else
	:: d_step { !down && cut == written -> base = cut_to; cut = based; served() }
	:: d_step { !down && cut == based && first <= base -> first++ }
	:: d_step { !down && cut == based && first > base -> cut = idle; cut_to = 0 }
#endif

	/* --- installing a received image, at any index that the cluster has committed --- */
	:: d_step { !down && install == idle && cut == idle && commit < cluster ->
		install = written; install_at = commit + 1 }
	:: d_step { !down && install == written && install_at < cluster -> install_at++ } /* a newer offer */
	:: d_step { !down && install == written -> /* synced, verified, sealed here as well */
		install = synced;
		sealed = MAX(sealed, install_at); sealed_whole = true }
#ifdef FLIP_UNSYNCED
#define READY (install == written || install == synced)
#else
#define READY (install == synced)
#endif
#ifdef NO_RECHECK
#define WANTED true
#else
#define WANTED (install_at > commit && good < install_at)
#endif
	:: d_step { !down && READY && cut == idle && WANTED ->
		/* One write of the superblock: the state, and the log's base. Nothing of the log matches the
		 * image's last entry, so all of it goes. */
		whole = install == synced;
		applied = install_at; durable = install_at;
#ifdef SPLIT_FLIP
		install = based }
	:: d_step { !down && install == based && base != install_at ->
#endif
		base = install_at;
		good = install_at; last = install_at;
		commit = MAX(commit, install_at);
		install = based }
#ifdef SPLIT_FLIP
	:: d_step { !down && install == based && base == install_at && first <= base -> first++ }
	:: d_step { !down && install == based && base == install_at && first > base ->
		install = idle; install_at = 0; whole = true }
#else
	:: d_step { !down && install == based && first <= base -> first++ } /* old segments go */
	:: d_step { !down && install == based && first > base ->
		install = idle; install_at = 0; whole = true }
#endif
	:: d_step { !down && install == synced && cut == idle && !(WANTED) -> /* stale: only commit moves */
		commit = MAX(commit, MIN(install_at, good));
		install = idle; install_at = 0 }

	/* --- crashes --- */
	:: d_step { !down && crashes < CRASHES -> /* the process */
		crashes++; down = true; whole = true; sealed_whole = true }
	/* power: commits behind the checkpoint go, some or all, and what was not synced */
	:: d_step { !down && crashes < CRASHES -> crashes++; down = true; applied = durable }
	:: d_step { !down && crashes < CRASHES && applied > durable + 1 ->
		crashes++; down = true; applied-- }
	:: d_step { down ->
		recovered();
		served();
		forget();
		commit = MIN(commit, applied);
		first = MAX(first, base + 1); /* deletion goes on */
		down = false }
	od
}
