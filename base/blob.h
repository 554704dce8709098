/*
 * blob.h - immutable bytes shared by reference count, across threads.
 *
 * A log entry's payload is made once and then held by the core's cache, the log writer, the send
 * queues and the apply thread at the same time.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdatomic.h>

#include "base/base.h"

struct blob {
	atomic_uint refs;
	size_t len;
	uint8_t data[];
};

struct blob *blob_new(size_t len);                     /* uninitialised bytes, one reference */
struct blob *blob_from(const void *data, size_t len);  /* a copy, one reference */
struct blob *blob_ref(struct blob *b);                 /* NULL in, NULL out; returns b */
void blob_unref(struct blob *b);                       /* accepts NULL */

#endif
