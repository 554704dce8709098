/*
 * source.c - the source operand: a store's directory (embedded node), a node's socket, or hosts.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "mount-helper/mount.h"
#include "net/net.h"
#include "store/store.h"

void mount_source_release(struct mount_source *source)
{
	for (size_t i = 0; i < source->address_count; i++)
		free(source->addresses[i]);
	source->address_count = 0;
}

static int add_address(struct mount_source *s, const char *prefix, const char *text, size_t len,
		       struct err *err)
{
	struct buf b = BUF_INIT;

	if (s->address_count == MOUNT_ADDRESSES_MAX)
		return err_set(err, -EINVAL, "the source '%s' names more than %d hosts", s->text,
			       MOUNT_ADDRESSES_MAX);
	buf_printf(&b, "%s%.*s", prefix, (int)len, text);
	buf_put_u8(&b, 0);
	s->addresses[s->address_count++] = (char *)b.data;
	return net_address_check((const char *)b.data, err);
}

/* "h1,h2:7901,h3" with an optional ":/" at the end. */
static int parse_hosts(struct mount_source *s, struct err *err)
{
	const char *p = s->text;
	size_t len = strlen(p);
	int ret = 0;

	if (len >= 2 && strcmp(p + len - 2, ":/") == 0)
		len -= 2;
	while (ret == 0 && len > 0) {
		const char *comma = memchr(p, ',', len);
		size_t n = comma ? (size_t)(comma - p) : len;

		ret = add_address(s, "", p, n, err);
		p += n + (comma ? 1 : 0);
		len -= n + (comma ? 1 : 0);
	}
	if (ret == 0 && s->address_count == 0)
		ret = err_set(err, -EINVAL, "the source is empty");
	if (ret < 0)
		err_advise(err, "nothing was mounted",
			   "mount -t quorumfs HOST:7900 DIR, or a store's directory, or its node.sock");
	return ret;
}

static bool is_empty_or_missing(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	if (!dir)
		return errno == ENOENT;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(dir);
	return empty;
}

static int make_store(struct mount_source *s, struct err *err)
{
	static const char *const addresses[] = { "" };
	struct node_init_options o = {
		.dir = s->text,
		.node_id = 1,
		.addresses = addresses,
		.member_count = 1,
	};

	return node_init(&o, err);
}

/* The node would serve its own files through itself. */
static int check_nesting(const struct mount_args *args, struct err *err)
{
	size_t len = strlen(args->target_path);

	if (strncmp(args->source.dir, args->target_path, len) != 0 ||
	    (args->source.dir[len] != '/' && args->source.dir[len] != '\0'))
		return 0;
	err_set(err, -ELOOP, "the store '%s' lies below its own mount point '%s'", args->source.dir,
		args->target_path);
	return err_advise(err, "nothing was mounted", "mount -t quorumfs %s SOME-OTHER-DIR", args->source.dir);
}

/* Fills dir with what the source resolves to, or would once its last part is made. */
static bool locate(struct mount_source *s)
{
	char *copy, *slash;
	bool found;

	if (realpath(s->text, s->dir))
		return true;
	copy = mem_strdup(s->text);
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/';)
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	found = realpath(!slash ? "." : copy[0] ? copy : "/", s->dir) != NULL;
	if (found) {
		size_t len = strlen(s->dir);

		found = (size_t)snprintf(s->dir + len, sizeof(s->dir) - len, "%s%s", len > 1 ? "/" : "",
					 slash ? slash + 1 : copy) < sizeof(s->dir) - len;
	}
	free(copy);
	return found;
}

static int resolve_directory(struct mount_args *args, struct err *err)
{
	struct mount_source *s = &args->source;
	struct store_identity identity;
	int ret;

	s->embedded = true;
	if (args->options.create && is_empty_or_missing(s->text)) {
		/* Before anything is made there: below the mount point it would be hidden at once. */
		ret = locate(s) ? check_nesting(args, err) : 0;
		if (ret == 0 && !args->fake)
			ret = make_store(s, err);
		if (ret < 0 || args->fake)
			return ret;
	}
	if (!realpath(s->text, s->dir)) {
		ret = err_set(err, -errno, "cannot open the store '%s': %s", s->text, strerror(errno));
		return err_advise(err, "nothing was mounted", ret == -ENOENT ? "quorumfs init %s" : "ls -ld %s",
				  s->text);
	}
	ret = check_nesting(args, err);
	if (ret < 0)
		return ret;
	ret = store_identify(s->dir, 0, &identity, err);
	if (ret < 0)
		err_advise(err, "nothing was mounted", "quorumfs init %s", s->dir);
	return ret;
}

/* The process that stays changes its directory, and sockets have short names: 107 bytes. */
static int add_socket(struct mount_source *s, const char *path, struct err *err)
{
	struct buf b = BUF_INIT;
	char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	int ret;

	buf_printf(&b, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path);
	free(cwd);
	ret = add_address(s, "unix:", (const char *)b.data, b.len, err);
	buf_release(&b);
	return ret;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A slash elsewhere than in the ":/" that hosts may end with. */
static bool is_path(const char *text)
{
	const char *slash = strchr(text, '/');

	return text[0] == '.' || (slash && !(slash > text && slash[-1] == ':' && slash[1] == '\0'));
}

int mount_source_resolve(struct mount_args *args, int *exit_code, struct err *err)
{
	struct mount_source *s = &args->source;
	struct stat st = { .st_mode = 0 };
	bool exists = stat(s->text, &st) == 0;

	*exit_code = MOUNT_FAILED;
	if (strncmp(s->text, "unix:", 5) == 0)
		return add_socket(s, s->text + 5, err);
	/* A node that has not started yet has no socket: mounting waits for it. */
	if (exists ? S_ISSOCK(st.st_mode) : is_path(s->text) && ends_with(s->text, ".sock"))
		return add_socket(s, s->text, err);
	if (exists && !S_ISDIR(st.st_mode)) {
		err_set(err, -ENOTDIR, "the source '%s' is neither a store's directory nor a node's socket",
			s->text);
		return err_advise(err, "nothing was mounted", "quorumfs init DIR");
	}
	if (exists || is_path(s->text) || args->options.create)
		return resolve_directory(args, err);
	*exit_code = MOUNT_USAGE;
	return parse_hosts(s, err);
}
