/* prng.c - see prng.h. Source: Blackman and Vigna, xoshiro256** 1.0; seeded by splitmix64. */
#include "base/prng.h"

#include "base/hash.h"

static uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

void prng_init(struct prng *p, uint64_t seed)
{
	for (uint64_t i = 0; i < 4; i++)
		p->s[i] = hash_u64(seed + (i + 1) * 0x9e3779b97f4a7c15ull);
}

uint64_t prng_u64(struct prng *p)
{
	uint64_t result = rotl(p->s[1] * 5, 7) * 9;
	uint64_t t = p->s[1] << 17;

	p->s[2] ^= p->s[0];
	p->s[3] ^= p->s[1];
	p->s[1] ^= p->s[2];
	p->s[0] ^= p->s[3];
	p->s[2] ^= t;
	p->s[3] = rotl(p->s[3], 45);
	return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
	uint64_t limit, v;

	assert(bound > 0);
	/* Values at or above the largest multiple of bound would favour small remainders. */
	limit = UINT64_MAX - UINT64_MAX % bound;
	do
		v = prng_u64(p);
	while (v >= limit);
	return v % bound;
}
