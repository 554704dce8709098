/*
 * fs_board.h - a page of memory in which a node tells the mounts on its machine, without a message, how long it
 * may answer reads by itself and what the entries of its log touch.
 *
 * Keys that attributes and names come from fall into slots (fs_slot_of_*). Before an entry leaves the node as
 * held, in an answer to the leader or as the leader's own, its index is written into the slots of its keys. Under a
 * read lease nothing commits that the node does not hold (raft/lease.h, rule 4). So whoever remembers what was read
 * at index i, with the slot's index at most i, may answer with it again while the lease lasts and the slot is
 * unchanged: as of the moment when it looked at the lease first. Entries under way block the keys they touch and no
 * others.
 *
 * A node that died has a successor who knows nothing of its board. The owner is a robust mutex, which the kernel
 * marks before it closes the files of the dead process, its lock on the store among them (exit_mm() comes before
 * exit_files()): no other process can hold an entry for this node while the owner looks alive.
 *
 * Times are CLOCK_BOOTTIME of one machine; where a time namespace shows another clock the board is not used.
 */
#ifndef FS_FS_BOARD_H
#define FS_FS_BOARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/err.h"
#include "fs/fs.h"

struct fs_board {
	uint64_t magic; /* with the version of this layout */
	uint64_t nonce; /* random: tells a board from one that has its place */
	pthread_mutex_t owner;
	_Atomic uint64_t until_ns;            /* the lease's end; 0: there is none */
	_Atomic uint64_t changed[FS_SLOTS]; /* index of the last entry that touches the slot */
};

/* ---- the node: one thread, which holds the owner ---------------------------------------------------- */

/* NULL and err: no memory of that kind. Everything counts as changed by entry last_index. *fd is the caller's; fd
 * NULL: a board that stays in this process. */
struct fs_board *fs_board_new(uint64_t last_index, int *fd, struct err *err);
/* The calling thread is the owner until it calls fs_board_disown() or dies. */
void fs_board_own(struct fs_board *b);
void fs_board_disown(struct fs_board *b);
/* Unmaps; not from under others who use it. Accepts NULL. */
void fs_board_close(struct fs_board *b);
/* An entry of the log touches m's key. */
void fs_board_note(struct fs_board *b, const struct kv_mutation *m, uint64_t index);
/* Everything may have changed up to index. */
void fs_board_note_all(struct fs_board *b, uint64_t index);
void fs_board_set_until(struct fs_board *b, uint64_t until_ns);

/* ---- mounts: any thread -------------------------------------------------------------------------------- */

/* Opens descriptor fd of process pid; -EXDEV: its clock is another one, -ESTALE: not that board. */
int fs_board_open(int pid, int fd, uint64_t nonce, struct fs_board **board);
/* Does the node answer by itself, and is it alive? As of a moment inside this call; clock as in fs_board.h. */
bool fs_board_speaks(struct fs_board *b, uint64_t (*boot_ns)(void));
uint64_t fs_board_changed(const struct fs_board *b, uint32_t slot);

#endif
