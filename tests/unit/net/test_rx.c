/* test_rx.c - frames come out whole, in order and uncopied, however the bytes arrive. */
#include "tests/lib/unit.h"

#include "net/rx.h"

static const uint8_t cluster[16] = { 4 };

static void put_frame(struct buf *stream, uint64_t number, size_t len)
{
	struct buf payload = BUF_INIT;
	uint8_t header[NET_FRAME_HEADER_SIZE];

	buf_put_le64(&payload, number);
	buf_put_zeros(&payload, len - 8);
	net_frame_seal(header, NET_CLIENT, cluster, 0, payload.data, len, NULL, 0);
	buf_put(stream, header, sizeof(header));
	buf_put(stream, payload.data, len);
	buf_release(&payload);
}

/* Feeds at most n bytes at a time; returns how many frames came, -1 after an error. */
static int feed(struct net_rx *rx, const struct buf *stream, size_t n)
{
	const uint8_t *payload;
	struct net_frame_header h;
	int frames = 0;
	int ret = 0;

	for (size_t used = 0; used < stream->len;) {
		size_t room;
		uint8_t *to = net_rx_room(rx, &room);
		size_t take = min_u64(min_u64(n, room), stream->len - used);

		assert_true(room >= 128 * 1024);
		memcpy(to, stream->data + used, take);
		net_rx_filled(rx, take);
		used += take;
		while ((ret = net_rx_next(rx, NET_FRAME_PAYLOAD_MAX, &h, &payload, NULL)) > 0) {
			assert_int_equal(load_le64(payload), frames++);
			assert_true(payload > rx->data &&
				    payload + h.payload_len <= rx->data + rx->cap);
		}
		if (ret < 0)
			return -1;
	}
	return frames;
}

static void frames_come_out_whole_however_they_arrive(void **state)
{
	static const size_t pieces[] = { 1, 7, 47, 48, 49, 4096, 300000, SIZE_MAX };
	struct buf stream = BUF_INIT;

	for (uint64_t n = 0; n < 40; n++)
		put_frame(&stream, n, n % 13 == 5 ? 200000 : 8 + 37 * n);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct net_rx rx = NET_RX_INIT;

		assert_int_equal(feed(&rx, &stream, pieces[i]), 40);
		net_rx_release(&rx);
	}
	buf_release(&stream);
}

static void the_largest_frame_fits_and_its_memory_is_given_back(void **state)
{
	struct buf stream = BUF_INIT;
	struct net_rx rx = NET_RX_INIT;
	size_t room;

	put_frame(&stream, 0, NET_FRAME_PAYLOAD_MAX);
	assert_int_equal(feed(&rx, &stream, 1 << 20), 1);
	assert_true(rx.cap >= NET_FRAME_PAYLOAD_MAX);
	(void)net_rx_room(&rx, &room);
	assert_true(rx.cap <= 1 << 20);
	net_rx_release(&rx);
	buf_release(&stream);
}

static void a_damaged_frame_ends_the_stream_behind_the_good_ones(void **state)
{
	struct buf stream = BUF_INIT;
	struct net_rx rx = NET_RX_INIT;

	put_frame(&stream, 0, 100);
	put_frame(&stream, 1, 100);
	stream.data[stream.len - 1] ^= 1;
	assert_int_equal(feed(&rx, &stream, SIZE_MAX), -1);
	assert_int_equal(rx.start, NET_FRAME_HEADER_SIZE + 100);
	net_rx_release(&rx);
	buf_release(&stream);
}

static void a_stranger_is_told_by_the_first_bytes(void **state)
{
	struct net_rx rx = NET_RX_INIT;
	struct net_frame_header h;
	const uint8_t *payload;
	size_t room;

	*net_rx_room(&rx, &room) = 'G';
	net_rx_filled(&rx, 1);
	assert_int_equal(net_rx_next(&rx, 2048, &h, &payload, NULL), -EPROTO);
	net_rx_release(&rx);
}

static void the_limit_of_the_moment_holds(void **state)
{
	struct buf stream = BUF_INIT;
	struct net_rx rx = NET_RX_INIT;
	struct net_frame_header h;
	const uint8_t *payload;
	size_t room;

	put_frame(&stream, 0, 3000);
	memcpy(net_rx_room(&rx, &room), stream.data, NET_FRAME_HEADER_SIZE);
	net_rx_filled(&rx, NET_FRAME_HEADER_SIZE);
	assert_int_equal(net_rx_next(&rx, 2048, &h, &payload, NULL), -EPROTO);
	assert_int_equal(net_rx_next(&rx, 4096, &h, &payload, NULL), 0);
	net_rx_release(&rx);
	buf_release(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_whole_however_they_arrive),
		cmocka_unit_test(the_largest_frame_fits_and_its_memory_is_given_back),
		cmocka_unit_test(a_damaged_frame_ends_the_stream_behind_the_good_ones),
		cmocka_unit_test(a_stranger_is_told_by_the_first_bytes),
		cmocka_unit_test(the_limit_of_the_moment_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
