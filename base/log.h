/*
 * log.h - the daemon's log: one line for each change of state, to stderr.
 *
 * Line: RFC 3339 time, level, module, text. Fields are written key=value at the end of the text
 * (node=1 term=4 index=88213). Thread safe. Tests silence it with log_set_level(LOG_NONE).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);          /* default LOG_INFO */
int log_level_parse(const char *text, enum log_level *level); /* 0 or -EINVAL */
bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(module, ...) log_line(LOG_ERROR, module, __VA_ARGS__)     /* someone must act */
#define log_warning(module, ...) log_line(LOG_WARNING, module, __VA_ARGS__)
#define log_info(module, ...) log_line(LOG_INFO, module, __VA_ARGS__)       /* role, membership */
#define log_debug(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)

#endif
