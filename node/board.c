/* board.c - the replica's side of fs_board.h. */
#include "fs/fs_board.h"
#include "node/replica_internal.h"

void replica_set_board(struct replica *r, struct fs_board *board, int fd)
{
	r->board = board;
	r->board_fd = fd;
}

static void note_entry(struct fs_board *board, const struct raft_entry *e)
{
	struct kv_batch_head head;
	struct kv_batch_iter it;
	struct kv_mutation m;

	if (e->type != RAFT_ENTRY_NORMAL || !e->data)
		return;
	/* It will not be applied either; until then it may mean anything. */
	if (kv_batch_decode(&head, &it, e->data->data, e->data->len) < 0) {
		fs_board_note_all(board, e->index);
		return;
	}
	while (kv_batch_next(&it, &m))
		fs_board_note(board, &m, e->index);
}

void board_carry_out(struct replica *r, const struct raft_output *out)
{
	if (!r->board)
		return;
	for (size_t i = 0; i < out->persist.count; i++)
		note_entry(r->board, &out->persist.v[i]);
	fs_board_set_until(r->board, raft_lease_end_ns(r->raft));
}

void board_installed(struct replica *r)
{
	if (r->board)
		fs_board_note_all(r->board, r->applied_index);
}

void board_show(struct replica *r, uint64_t client_id)
{
	if (r->board)
		client_send(r, client_id, &(struct fs_msg){ .type = FS_MSG_BOARD,
							    .tag = (uint64_t)r->board_fd,
							    .stamp = r->board->nonce });
}
