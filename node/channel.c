/*
 * channel.c - an embedded client's connection: a queue into the node thread, callbacks out of it.
 *
 * Messages to the session are delivered on the node thread itself; the session's callbacks only write
 * replies to /dev/fuse, which does not block on us.
 */
#include <unistd.h>

#include "node/node_internal.h"

struct node_channel {
	struct node *node;
	struct fs_session *session; /* set before the node thread knows the channel */
	uint64_t id;                /* node thread's; 0: not open */
	atomic_bool detached;
};

bool node_command(struct node *node, struct command *cmd)
{
	bool waited = cmd->waited, ended; /* nobody waits: once pushed it is the node thread's to free */

	pthread_mutex_lock(&node->lock);
	ended = node->failed || node->stopped;
	if (!ended)
		(void)queue_push(&node->commands, &cmd->link);
	pthread_mutex_unlock(&node->lock);
	if (ended)
		return false;
	node_wake(node);
	if (!waited)
		return true;
	pthread_mutex_lock(&node->lock);
	while (!cmd->done)
		pthread_cond_wait(&node->changed, &node->lock);
	pthread_mutex_unlock(&node->lock);
	return true;
}

struct node_channel *node_channel_new(struct node *node)
{
	struct node_channel *ch = mem_calloc(1, sizeof(*ch));

	ch->node = node;
	return ch;
}

void node_channel_attach(struct node_channel *ch, struct fs_session *session)
{
	struct command cmd = { .type = COMMAND_CHANNEL_OPEN, .channel = ch, .waited = true };

	ch->session = session;
	list_init(&cmd.link);
	(void)node_command(ch->node, &cmd);
}

void node_channel_detach(struct node_channel *ch)
{
	struct command cmd = { .type = COMMAND_CHANNEL_CLOSE, .channel = ch, .waited = true };

	list_init(&cmd.link);
	(void)node_command(ch->node, &cmd);
}

void node_channel_free(struct node_channel *ch)
{
	if (!ch)
		return;
	/* Commands run in order: behind this one none that names the channel is left. */
	node_channel_detach(ch);
	free(ch);
}

static int channel_send(void *channel, const void *head, size_t head_len, const void *tail,
			size_t tail_len)
{
	struct node_channel *ch = channel;
	struct command *cmd;

	if (atomic_load(&ch->detached))
		return -ENOTCONN;
	cmd = mem_calloc(1, sizeof(*cmd));
	list_init(&cmd->link);
	cmd->type = COMMAND_CHANNEL_MESSAGE;
	cmd->channel = ch;
	buf_reserve(&cmd->data, head_len + tail_len);
	buf_put(&cmd->data, head, head_len);
	buf_put(&cmd->data, tail, tail_len);
	if (node_command(ch->node, cmd))
		return 0;
	buf_release(&cmd->data);
	free(cmd);
	return -ENOTCONN;
}

/* There is only this node. */
static void channel_move(void *channel)
{
	(void)channel;
}

static int channel_node_pid(void *channel)
{
	(void)channel;
	return getpid();
}

const struct fs_channel_ops node_channel_ops = {
	.send = channel_send,
	.move = channel_move,
	.node_pid = channel_node_pid,
};

void channel_opened(struct node_channel *ch, uint64_t id)
{
	ch->id = id;
	fs_session_on_up(ch->session);
}

void channel_closed(struct node_channel *ch)
{
	ch->id = 0;
}

uint64_t channel_id(const struct node_channel *ch)
{
	return ch->id;
}

void channel_deliver(struct node_channel *ch, const void *data, size_t len)
{
	fs_session_on_message(ch->session, data, len);
}
