/* clock.h - the real clocks, for programs; the core and fs/ops are handed time instead. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME: goes on in suspend, never jumps */
uint64_t clock_boot_ms(void);
int64_t clock_wall_ns(void);  /* CLOCK_REALTIME, ns since 1970 */
void clock_sleep_ms(uint64_t ms);

#endif
