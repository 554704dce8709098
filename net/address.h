/*
 * address.h - addresses as text, as sockets see them, and the four-part errors of reaching them.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/net.h"

struct net_address {
	bool local;     /* unix:PATH; host is the path */
	char host[256]; /* without brackets */
	char port[8];
};

/* -EINVAL with err. */
int net_address_parse(struct net_address *a, const char *text, struct err *err);
void net_address_unix(const struct net_address *a, struct sockaddr_un *out); /* a->local */
/* TCP: blocks for a host name. *list for freeaddrinfo(). -EHOSTUNREACH with err in four parts. */
int net_address_resolve(const struct net_address *a, bool passive, struct addrinfo **list,
			struct err *err);
int net_err_resolve(struct err *err, const char *address, const char *why);
/* Fills err in four parts for a connect(2) to address that failed with code, and returns the code that
 * callers branch on: a missing socket file is -ECONNREFUSED, an unreachable net -EHOSTUNREACH. */
int net_err_connect(struct err *err, const char *address, int code);
/* Buffers of about 1 MiB; TCP: no delay, and a peer whose machine died is noticed within seconds. */
void net_socket_tune(int fd, bool local);

#endif
