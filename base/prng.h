/* prng.h - xoshiro256**; every run replays from its seed. Not for secrets: those use libsodium. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include "base/base.h"

struct prng {
	uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_u64(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t bound); /* uniform in [0, bound); bound > 0 */

#endif
