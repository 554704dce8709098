/*
 * fetch.h - pulls a sealed snapshot from a peer; the receiving half of InstallSnapshot.
 *
 * Request (NET_BULK)        off size       Answer (NET_BULK_REPLY)   off size
 *   version, now 1            0   1          version, now 1            0   1
 *   kind: 0 manifest 1 chunk  1   1          status, negative errno    1   4
 *   chunk number              2   4          bytes, or an error text   5   rest
 *   snapshot meta             6   rest
 */
#ifndef NODE_FETCH_H
#define NODE_FETCH_H

#include "node/worker.h"

/* Sets job status: 0 once the image is sealed and built here; resumes what an earlier try left.
 * Gives up when shared->stopping is set or the source answers nothing. Thread: fetch. */
void fetch_run(struct worker_shared *shared, struct job_fetch *fetch);

/* The codec: meta, manifest and number of a request; status, err.text and reply of an answer. */
void bulk_request_encode(const struct job_bulk *bulk, struct buf *out);
int bulk_request_decode(struct job_bulk *bulk, const void *data, size_t len); /* 0 or -EPROTO */
void bulk_reply_encode(const struct job_bulk *bulk, struct buf *out);
/* Appends the bytes to out: 0; what the source said or -EPROTO, with err. */
int bulk_reply_decode(const void *data, size_t len, struct buf *out, struct err *err);

#endif
