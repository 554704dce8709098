/*
 * frame.c - the layout of a frame, of HELLO and of REFUSED. Pure: bytes in, bytes out.
 *
 * The checksum covers the header as well as the payload, so a frame whose length, type or cluster
 * was damaged on the way is never taken for another one.
 */
#define XXH_INLINE_ALL /* the streaming state lives on the stack: no tie to the library's layout */
#include <xxhash.h>

#include "net/frame.h"

#include "base/cursor.h"
#include "base/hash.h"
#include "base/mark.h"

#define FRAME_VERSION 1
#define HELLO_VERSION 1
#define REFUSED_VERSION 1

static const uint8_t frame_magic[4] = { 'Q', 'F', 'S', 'N' };

/*
 * Frame header. Little-endian.              off size
 *   magic "QFSN"                              0   4
 *   version, now 1                            4   1
 *   type: enum net_frame_type                 5   1
 *   zeros                                     6   2
 *   cluster, zeros: not known                 8  16
 *   group                                    24   4
 *   payload_len                              28   4
 *   zeros                                    32   8
 *   checksum: XXH3-64 of the payload, with   40   8
 *     XXH3-64 of bytes 0 to 39 as its seed
 * The payload follows at 48.
 */
#define OFF_VERSION 4
#define OFF_TYPE 5
#define OFF_ZEROS_1 6
#define OFF_CLUSTER 8
#define OFF_GROUP 24
#define OFF_LENGTH 28
#define OFF_ZEROS_2 32
#define OFF_CHECKSUM 40

static uint64_t checksum_two(const uint8_t *header, const void *head, size_t head_len,
			     const void *tail, size_t tail_len)
{
	uint64_t seed = hash64(header, OFF_CHECKSUM);
	XXH3_state_t state;

	if (tail_len == 0)
		return hash64_seed(head_len ? head : "", head_len, seed);
	if (head_len == 0)
		return hash64_seed(tail, tail_len, seed);
	XXH3_INITSTATE(&state);
	(void)XXH3_64bits_reset_withSeed(&state, seed);
	(void)XXH3_64bits_update(&state, head, head_len);
	(void)XXH3_64bits_update(&state, tail, tail_len);
	return XXH3_64bits_digest(&state);
}

void net_frame_seal(uint8_t header[NET_FRAME_HEADER_SIZE], uint8_t type, const uint8_t cluster[16],
		    uint32_t group, const void *head, size_t head_len, const void *tail,
		    size_t tail_len)
{
	assert(head_len <= NET_FRAME_PAYLOAD_MAX && tail_len <= NET_FRAME_PAYLOAD_MAX - head_len);
	memset(header, 0, NET_FRAME_HEADER_SIZE);
	memcpy(header, frame_magic, sizeof(frame_magic));
	header[OFF_VERSION] = FRAME_VERSION;
	header[OFF_TYPE] = type;
	memcpy(header + OFF_CLUSTER, cluster, 16);
	store_le32(header + OFF_GROUP, group);
	store_le32(header + OFF_LENGTH, (uint32_t)(head_len + tail_len));
	store_le64(header + OFF_CHECKSUM, checksum_two(header, head, head_len, tail, tail_len));
}

int net_frame_open(struct net_frame_header *h, const uint8_t header[NET_FRAME_HEADER_SIZE],
		   struct err *err)
{
	static const uint8_t zeros[8];
	uint32_t len = load_le32(header + OFF_LENGTH);

	if (memcmp(header, frame_magic, sizeof(frame_magic)) != 0)
		return err_set(err, -EPROTO, "these bytes are not a quorumfs frame");
	if (header[OFF_VERSION] != FRAME_VERSION)
		return err_set(err, -EPROTO,
			       "frame version %u came, this program speaks version %u",
			       header[OFF_VERSION], FRAME_VERSION);
	if (len > NET_FRAME_PAYLOAD_MAX)
		return err_set(err, -EPROTO, "a frame of %u bytes came, the limit is %u", len,
			       NET_FRAME_PAYLOAD_MAX);
	if (memcmp(header + OFF_ZEROS_1, zeros, 2) != 0 ||
	    memcmp(header + OFF_ZEROS_2, zeros, 8) != 0)
		return err_set(err, -EPROTO,
			       "a frame's header has bytes set that version 1 keeps zero");
	*h = (struct net_frame_header){
		.type = header[OFF_TYPE],
		.group = load_le32(header + OFF_GROUP),
		.payload_len = len,
		.checksum = load_le64(header + OFF_CHECKSUM),
	};
	memcpy(h->cluster, header + OFF_CLUSTER, 16);
	return 0;
}

int net_frame_verify(const struct net_frame_header *h, const uint8_t header[NET_FRAME_HEADER_SIZE],
		     const void *payload, struct err *err)
{
	if (checksum_two(header, payload, h->payload_len, NULL, 0) != h->checksum)
		return err_set(err, -EPROTO, "a frame's checksum does not match its bytes");
	return 0;
}

/*
 * HELLO and HELLO_OK. Little-endian.   off size
 *   version, now 1                       0   1
 *   role: enum net_role                  1   1
 *   cluster, zeros: not known            2  16
 *   group                               18   4
 *   node_id of the sender, 0: a client  22   8
 *   to_node_id, 0: whoever answers      30   8
 *   incarnation                         38   8
 *   uuid of the client                  46  16
 */
void net_hello_encode(const struct net_hello *h, struct buf *out)
{
	buf_put_u8(out, HELLO_VERSION);
	buf_put_u8(out, h->role);
	buf_put(out, h->cluster, sizeof(h->cluster));
	buf_put_le32(out, h->group);
	buf_put_le64(out, h->node_id);
	buf_put_le64(out, h->to_node_id);
	buf_put_le64(out, h->incarnation);
	buf_put(out, h->uuid, sizeof(h->uuid));
}

int net_hello_decode(struct net_hello *h, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct net_hello out = { .role = 0 };
	uint8_t version = cursor_u8(&c);

	out.role = cursor_u8(&c);
	cursor_copy(&c, out.cluster, sizeof(out.cluster));
	out.group = cursor_le32(&c);
	out.node_id = cursor_le64(&c);
	out.to_node_id = cursor_le64(&c);
	out.incarnation = cursor_le64(&c);
	cursor_copy(&c, out.uuid, sizeof(out.uuid));
	if (version != HELLO_VERSION || out.role < NET_ROLE_PEER || out.role > NET_ROLE_BULK ||
	    !cursor_at_end(&c))
		return -EPROTO;
	*h = out;
	return 0;
}

/*
 * REFUSED. Little-endian; each text has a 16-bit length in front and no NUL.
 *   version, now 1                       1 byte
 *   errno, positive                      4 bytes
 *   text: what failed and why
 *   still_works
 *   next
 */
void net_refused_encode(const struct err *why, struct buf *out)
{
	buf_put_u8(out, REFUSED_VERSION);
	buf_put_le32(out, (uint32_t)-why->code);
	buf_put_bytes16(out, why->text, strlen(why->text));
	buf_put_bytes16(out, why->still_works, strlen(why->still_works));
	buf_put_bytes16(out, why->next, strlen(why->next));
}

/* Texts of another program go to a terminal: no control bytes. */
static void take_text(struct cursor *c, char *out, size_t size)
{
	size_t len;
	const uint8_t *data = cursor_bytes16(c, &len);

	if (!data)
		len = 0;
	len = min_u64(len, size - 1);
	for (size_t i = 0; i < len; i++)
		out[i] = data[i] < ' ' || data[i] == 0x7f ? '?' : (char)data[i];
	out[len] = '\0';
}

int net_refused_decode(struct err *why, const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	uint32_t code = cursor_le32(&c);
	struct err out = ERR_INIT;

	take_text(&c, out.text, sizeof(out.text));
	take_text(&c, out.still_works, sizeof(out.still_works));
	take_text(&c, out.next, sizeof(out.next));
	if (version != REFUSED_VERSION || code == 0 || code > 4095 || !cursor_at_end(&c))
		return err_set(why, -EPROTO, "the node refused, and its reason does not decode");
	out.code = -(int)code;
	if (why)
		*why = out;
	return out.code;
}

bool net_cluster_known(const uint8_t cluster[16])
{
	static const uint8_t zeros[16];

	return memcmp(cluster, zeros, sizeof(zeros)) != 0;
}

int net_frame_check_home(const struct net_frame_header *h, const uint8_t cluster[16],
			 uint32_t group, struct err *err)
{
	if (memcmp(h->cluster, cluster, 16) != 0)
		return err_set(err, -EXDEV, "a frame of another cluster came");
	if (h->group != group)
		return err_set(err, -EXDEV, "a frame of group %u came, this is group %u", h->group,
			       group);
	return 0;
}

int net_answer_check(const struct net_hello *said, const struct net_frame_header *h,
		     const uint8_t *payload, const char *name, struct net_hello *answer,
		     struct err *err)
{
	const char *works = "nothing was sent, so nothing has changed";
	struct net_hello a;

	if (h->type != NET_HELLO_OK || net_hello_decode(&a, payload, h->payload_len) < 0 ||
	    memcmp(a.cluster, h->cluster, 16) != 0 || a.group != h->group) {
		err_set(err, -EPROTO,
			"'%.200s' did not answer HELLO as a node of this version does", name);
		err_advise(err, works, "compare quorumfs --version there and here");
		return -EPROTO;
	}
	if ((net_cluster_known(said->cluster) && memcmp(a.cluster, said->cluster, 16) != 0) ||
	    a.group != said->group) {
		MARK("net.hello.another-cluster");
		err_set(err, -EXDEV, "the node at '%.200s' belongs to another cluster", name);
		err_advise(err, works, "quorumfs status, on the machine of that node");
		return -EXDEV;
	}
	if (said->to_node_id != 0 && a.node_id != said->to_node_id) {
		MARK("net.hello.another-node");
		err_set(err, -EXDEV, "node %llu was expected at '%.200s', node %llu answers",
			(unsigned long long)said->to_node_id, name, (unsigned long long)a.node_id);
		err_advise(err, works, "quorumfs status, on the machine of that node");
		return -EXDEV;
	}
	*answer = a;
	return 0;
}
