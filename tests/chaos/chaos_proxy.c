/*
 * chaos_proxy.c - a bad network between one node and its peers, above TCP: what packet filters cannot do.
 *
 * Runs in the node's network namespace. For each LISTEN_PORT:ADDRESS:PORT it listens on 127.0.0.1 and
 * carries what comes there to ADDRESS:PORT, with SO_MARK 0x51 so that the redirection which leads here
 * leaves it alone. --mode:
 *
 *   delay    each piece waits between MS/2 and MS, in order; the pieces of one direction queue up
 *   corrupt  one bit is turned over in PERCENT of the pieces
 *   swallow  accepts and reads, and carries nothing on: a half-open connection
 *   mute     carries what is sent and swallows all answers
 *   reset    breaks each connection at a random moment within MS
 *   frames   of the Raft messages, PERCENT each are dropped, doubled, or held back behind the next one;
 *            other frames keep their order, as their contract is an ordered connection
 *
 * One thread, poll(). SIGTERM ends it, and with it all its connections.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/opt.h"
#include "base/prng.h"
#include "net/net.h"

#define TARGETS_MAX 16u
#define PAIRS_MAX 256u
#define PIECE 16384u
#define MARK_BYPASS 0x51
#define QUEUE_MAX (8u << 20) /* bytes that one direction holds before reading stops */

enum mode {
	MODE_DELAY,
	MODE_CORRUPT,
	MODE_SWALLOW,
	MODE_MUTE,
	MODE_RESET,
	MODE_FRAMES,
	MODE_COUNT
};
static const char *const mode_names[MODE_COUNT] = { "delay", "corrupt", "swallow",
						    "mute",  "reset",   "frames" };

static struct options {
	const char *mode;
	uint64_t ms, percent, seed;
	bool help;
} opt = { .mode = "delay", .ms = 100, .percent = 10, .seed = 1 };

static const struct opt opts[] = {
	{ .name = "mode",
	  .kind = OPT_STRING,
	  .offset = offsetof(struct options, mode),
	  .value = "MODE",
	  .def = "delay",
	  .help = "delay, corrupt, swallow, mute, reset or frames" },
	{ .name = "ms",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, ms),
	  .value = "MS",
	  .def = "100",
	  .min = 1,
	  .max = 60000,
	  .help = "delay: at most this long; reset: within this time" },
	{ .name = "percent",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, percent),
	  .value = "N",
	  .def = "10",
	  .max = 100,
	  .help = "corrupt, frames: how much of it" },
	{ .name = "seed",
	  .kind = OPT_U64,
	  .offset = offsetof(struct options, seed),
	  .value = "N",
	  .def = "1",
	  .help = "draws what happens to which piece" },
	{ .name = "help",
	  .short_name = 'h',
	  .kind = OPT_FLAG,
	  .offset = offsetof(struct options, help),
	  .help = "this text" },
};

struct target {
	int listen_fd;
	struct sockaddr_in to;
};

/* Bytes that go out at due_ms. */
struct piece {
	struct piece *next;
	uint64_t due_ms;
	struct buf bytes;
	size_t sent;
};

/* What flows from one socket to the other. */
struct flow {
	struct piece *first, **last;
	size_t queued;
	uint64_t last_due_ms;
	bool ended;        /* the source closed its side */
	bool shut;         /* ... and so have we */
	struct buf frames; /* MODE_FRAMES: the beginning of a frame */
	struct buf held;   /* MODE_FRAMES: a frame that goes behind the next one */
};

struct pair {
	int fd[2];           /* [0] who connected to us, [1] the target */
	struct flow flow[2]; /* [i]: from fd[i] to fd[1 - i] */
	uint64_t break_ms;
};

static struct target targets[TARGETS_MAX];
static struct pair *pairs[PAIRS_MAX];
static size_t target_count, pair_count;
static enum mode mode;
static struct prng prng;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "chaos_proxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool chance(void)
{
	return prng_below(&prng, 100) < opt.percent;
}

/* ---- flows ----------------------------------------------------------------------------------------- */

static void flow_init(struct flow *f)
{
	*f = (struct flow){ .frames = BUF_INIT, .held = BUF_INIT };
	f->last = &f->first;
}

static void flow_drop_first(struct flow *f)
{
	struct piece *p = f->first;

	f->first = p->next;
	if (!f->first)
		f->last = &f->first;
	f->queued -= p->bytes.len;
	buf_release(&p->bytes);
	free(p);
}

static void flow_release(struct flow *f)
{
	while (f->first)
		flow_drop_first(f);
	buf_release(&f->frames);
	buf_release(&f->held);
}

static void flow_add(struct flow *f, const void *data, size_t len, uint64_t due_ms)
{
	struct piece *p = mem_calloc(1, sizeof(*p));

	p->bytes = (struct buf)BUF_INIT;
	buf_put(&p->bytes, data, len);
	f->last_due_ms = p->due_ms = max_u64(due_ms, f->last_due_ms);
	f->queued += len;
	*f->last = p;
	f->last = &p->next;
}

/* Whole frames of what came; the Raft messages among them have their accidents. */
static void frames_take(struct flow *f, const uint8_t *data, size_t len, uint64_t now)
{
	size_t at = 0;

	buf_put(&f->frames, data, len);
	while (f->frames.len - at >= NET_FRAME_HEADER_SIZE) {
		const uint8_t *frame = f->frames.data + at;
		struct err err = ERR_INIT;
		struct net_frame_header h;
		size_t size = f->frames.len - at;
		bool raft = false;

		/* What is no frame passes as it is. */
		if (net_frame_open(&h, frame, &err) == 0) {
			if (size < NET_FRAME_HEADER_SIZE + h.payload_len)
				break;
			size = NET_FRAME_HEADER_SIZE + h.payload_len;
			raft = h.type == NET_RAFT;
		}
		at += size;
		if (raft && chance())
			continue;
		if (raft && f->held.len == 0 && chance()) {
			buf_put(&f->held, frame, size);
			continue;
		}
		flow_add(f, frame, size, now);
		if (raft && chance())
			flow_add(f, frame, size, now);
		if (f->held.len > 0) {
			flow_add(f, f->held.data, f->held.len, now);
			f->held.len = 0;
		}
	}
	if (at > 0)
		memmove(f->frames.data, f->frames.data + at, f->frames.len - at);
	f->frames.len -= at;
}

static void flow_take(struct flow *f, bool answer, uint8_t *data, size_t len, uint64_t now)
{
	switch (mode) {
	case MODE_DELAY:
		flow_add(f, data, len, now + opt.ms / 2 + prng_below(&prng, opt.ms / 2 + 1));
		break;
	case MODE_CORRUPT:
		if (chance())
			data[prng_below(&prng, len)] ^= (uint8_t)(1u << prng_below(&prng, 8));
		flow_add(f, data, len, now);
		break;
	case MODE_FRAMES:
		frames_take(f, data, len, now);
		break;
	case MODE_SWALLOW:
		break;
	case MODE_MUTE:
		if (!answer)
			flow_add(f, data, len, now);
		break;
	default:
		flow_add(f, data, len, now);
		break;
	}
}

/* ---- pairs of sockets ------------------------------------------------------------------------------ */

static void set_up(int fd)
{
	int one = 1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void pair_add(const struct target *t, int accepted)
{
	int mark = MARK_BYPASS, fd;
	struct pair *p;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		die("SO_MARK");
	set_up(fd);
	set_up(accepted);
	if (pair_count == PAIRS_MAX ||
	    (connect(fd, (const struct sockaddr *)&t->to, sizeof(t->to)) < 0 &&
	     errno != EINPROGRESS)) {
		close(fd);
		close(accepted);
		return;
	}
	p = mem_calloc(1, sizeof(*p));
	p->fd[0] = accepted;
	p->fd[1] = fd;
	flow_init(&p->flow[0]);
	flow_init(&p->flow[1]);
	p->break_ms = mode == MODE_RESET ? clock_boot_ms() + prng_below(&prng, opt.ms) : UINT64_MAX;
	pairs[pair_count++] = p;
}

static void pair_free(size_t i)
{
	/* With SO_LINGER 0 both ends see a reset. */
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct pair *p = pairs[i];

	for (int side = 0; side < 2; side++) {
		if (mode == MODE_RESET)
			setsockopt(p->fd[side], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(p->fd[side]);
		flow_release(&p->flow[side]);
	}
	free(p);
	pairs[i] = pairs[--pair_count];
}

/* Reads from one side. false: the pair is broken. */
static bool pair_read(struct pair *p, int side, uint64_t now)
{
	static uint8_t data[PIECE];
	ssize_t n = recv(p->fd[side], data, sizeof(data), 0);

	if (n > 0)
		flow_take(&p->flow[side], side == 1, data, (size_t)n, now);
	else if (n == 0)
		p->flow[side].ended = true;
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Writes what is due to the other side. false: the pair is broken. */
static bool pair_write(struct pair *p, int side, uint64_t now)
{
	struct flow *f = &p->flow[side];

	while (f->first && f->first->due_ms <= now) {
		struct piece *piece = f->first;
		ssize_t n = send(p->fd[1 - side], piece->bytes.data + piece->sent,
				 piece->bytes.len - piece->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
		piece->sent += (size_t)n;
		if (piece->sent == piece->bytes.len)
			flow_drop_first(f);
	}
	if (f->ended && !f->first && !f->shut) {
		f->shut = true;
		shutdown(p->fd[1 - side], SHUT_WR);
	}
	return !(p->flow[0].shut && p->flow[1].shut);
}

/* ---- the loop -------------------------------------------------------------------------------------- */

static int wait_ms(uint64_t now)
{
	uint64_t next = now + 1000;

	for (size_t i = 0; i < pair_count; i++) {
		next = min_u64(next, pairs[i]->break_ms);
		for (int side = 0; side < 2; side++) {
			const struct piece *first = pairs[i]->flow[side].first;

			if (first && first->due_ms > now)
				next = min_u64(next, first->due_ms);
		}
	}
	return next > now ? (int)(next - now) : 0;
}

static size_t fill_polls(struct pollfd *polls, uint64_t now)
{
	size_t count = 0;

	for (size_t i = 0; i < target_count; i++)
		polls[count++] = (struct pollfd){ .fd = targets[i].listen_fd, .events = POLLIN };
	for (size_t i = 0; i < pair_count; i++) {
		for (int side = 0; side < 2; side++) {
			const struct flow *in = &pairs[i]->flow[side];
			const struct piece *out = pairs[i]->flow[1 - side].first;
			short events = 0;

			if (!in->ended && in->queued < QUEUE_MAX)
				events |= POLLIN;
			if (out && out->due_ms <= now)
				events |= POLLOUT;
			polls[count++] =
				(struct pollfd){ .fd = pairs[i]->fd[side], .events = events };
		}
	}
	return count;
}

static bool pair_step(struct pair *p, const struct pollfd *polls, uint64_t now)
{
	bool whole = now < p->break_ms;

	for (int side = 0; side < 2 && whole; side++) {
		if (polls[side].revents & (POLLIN | POLLERR | POLLHUP) && !p->flow[side].ended)
			whole = pair_read(p, side, now);
		else if (polls[side].revents & (POLLERR | POLLHUP))
			whole = false;
	}
	for (int side = 0; side < 2 && whole; side++)
		whole = pair_write(p, side, now);
	return whole;
}

static void step(void)
{
	static struct pollfd polls[TARGETS_MAX + 2 * PAIRS_MAX];
	uint64_t now = clock_boot_ms();
	size_t count = fill_polls(polls, now), known = pair_count;

	if (poll(polls, count, wait_ms(now)) < 0 && errno != EINTR)
		die("poll");
	now = clock_boot_ms();
	/* From the end: freeing moves the last one, which has had its turn, to the place of this one. */
	for (size_t i = known; i-- > 0;) {
		if (!pair_step(pairs[i], &polls[target_count + 2 * i], now))
			pair_free(i);
	}
	for (size_t i = 0; i < target_count; i++) {
		int fd;

		if (!(polls[i].revents & POLLIN))
			continue;
		fd = accept4(targets[i].listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			pair_add(&targets[i], fd);
	}
}

static void add_target(const char *text)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct target *t = &targets[target_count++];
	unsigned int listen_port, port;
	char address[64];
	int one = 1;

	if (sscanf(text, "%u:%63[0-9.]:%u", &listen_port, address, &port) != 3 ||
	    inet_pton(AF_INET, address, &t->to.sin_addr) != 1) {
		fprintf(stderr, "chaos_proxy: '%s' is no LISTEN_PORT:ADDRESS:PORT\n", text);
		exit(2);
	}
	t->to.sin_family = AF_INET;
	t->to.sin_port = htons((uint16_t)port);
	here.sin_port = htons((uint16_t)listen_port);
	t->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(t->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (t->listen_fd < 0 ||
	    bind(t->listen_fd, (const struct sockaddr *)&here, sizeof(here)) < 0 ||
	    listen(t->listen_fd, 64) < 0)
		die(text);
}

static bool find_mode(void)
{
	for (mode = 0; mode < MODE_COUNT; mode++) {
		if (strcmp(opt.mode, mode_names[mode]) == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int count;

	if (opt_parse_argv(opts, ARRAY_SIZE(opts), argc, argv, &opt, &count, &err) < 0) {
		err_print(&err, "chaos_proxy");
		return 2;
	}
	if (opt.help || count < 1 || count > (int)TARGETS_MAX || !find_mode()) {
		printf("usage: chaos_proxy [OPTION]... LISTEN_PORT:ADDRESS:PORT...\n\n");
		opt_print_help(opts, ARRAY_SIZE(opts), stdout);
		return opt.help ? 0 : 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prng_init(&prng, opt.seed);
	for (int i = 1; i <= count; i++)
		add_target(argv[i]);
	for (;;)
		step();
}
