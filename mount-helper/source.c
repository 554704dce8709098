/*
 * source.c - the source operand: a store's directory (embedded node), a node's socket, or hosts.
 */
#include <dirent.h>
#include <fcntl.h>
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
	free(source->subdir);
	source->subdir = NULL;
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

static int bad_hosts(struct err *err)
{
	return err_advise(err, "nothing was mounted",
			  "mount -t quorumfs HOST:7900 DIR, or a store's directory, or its node.sock");
}

/* "h1,h2:7901,h3". */
static int parse_hosts(struct mount_source *s, const char *p, size_t len, struct err *err)
{
	int ret = 0;

	while (ret == 0 && len > 0) {
		const char *comma = memchr(p, ',', len);
		size_t n = comma ? (size_t)(comma - p) : len;

		ret = add_address(s, "", p, n, err);
		p += n + (comma ? 1 : 0);
		len -= n + (comma ? 1 : 0);
	}
	if (ret == 0 && s->address_count == 0)
		ret = err_set(err, -EINVAL, "the source is empty");
	return ret;
}

/* The length of the host that text begins with, and of the port behind it: what is but digits is a port. */
static size_t host_length(const char *text, char separator)
{
	const char *end = strchrnul(text, separator);

	if (text[0] == '[' && strchr(text, ']'))
		end = strchrnul(strchr(text, ']'), separator);
	if (separator == ':' && *end == ':') {
		size_t digits = strspn(end + 1, "0123456789");

		if (digits > 0 && (end[1 + digits] == ':' || !end[1 + digits]))
			end += 1 + digits;
	}
	return (size_t)(end - text);
}

/* Further contact points, as other file systems' options name them: "b:c" or "b/c". */
static int add_backups(struct mount_source *s, const char *list, char separator, struct err *err)
{
	int ret = 0;

	while (ret == 0 && list && *list) {
		size_t len = host_length(list, separator);

		ret = add_address(s, "", list, len, err);
		list += len + (list[len] ? 1 : 0);
	}
	return ret;
}

static int resolve_hosts(struct mount_args *args, const char *text, size_t len, struct err *err)
{
	int ret = parse_hosts(&args->source, text, len, err);

	if (ret == 0)
		ret = add_backups(&args->source, args->options.backup_servers, ':', err);
	if (ret == 0)
		ret = add_backups(&args->source, args->options.mon_addr, '/', err);
	return ret < 0 ? bad_hosts(err) : 0;
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

static int make_store(const char *path, struct err *err)
{
	static const char *const addresses[] = { "" };
	struct node_init_options o = {
		.dir = path,
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
static bool locate(struct mount_source *s, const char *path)
{
	char *copy, *slash;
	bool found;

	if (realpath(path, s->dir))
		return true;
	copy = mem_strdup(path);
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

static int resolve_directory(struct mount_args *args, const char *path, struct err *err)
{
	struct mount_source *s = &args->source;
	struct store_identity identity;
	int ret;

	s->embedded = true;
	if (args->options.create && is_empty_or_missing(path)) {
		/* Before anything is made there: below the mount point it would be hidden at once. */
		ret = locate(s, path) ? check_nesting(args, err) : 0;
		if (ret == 0 && !args->fake)
			ret = make_store(path, err);
		if (ret < 0 || args->fake)
			return ret;
	}
	if (!realpath(path, s->dir)) {
		ret = err_set(err, -errno, "cannot open the store '%s': %s", path, strerror(errno));
		return err_advise(err, "nothing was mounted", ret == -ENOENT ? "quorumfs init %s" : "ls -ld %s",
				  path);
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
	char *cwd;
	int ret;

	/* No waiting makes that better. */
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 && errno == EACCES) {
		err_set(err, -EACCES, "cannot connect to the node's socket '%s': %s", path, strerror(EACCES));
		return err_advise(err, "nothing was mounted; the node's address, if it has one, is for everybody",
				  "namei -l %s", path);
	}
	cwd = *path == '/' ? NULL : getcwd(NULL, 0);

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

/* A slash before any that could end hosts. */
static bool is_path(const char *text)
{
	const char *slash = strchr(text, '/');

	return text[0] == '.' || (slash && !(slash > text && slash[-1] == ':'));
}

static bool is_socket_name(const char *path)
{
	return is_path(path) && ends_with(path, ".sock");
}

/*
 * Takes ":/SUBDIR" from the end of text into s->subdir. Of a path only if all of it does not exist, and what is
 * left does, or is a socket's name.
 */
static void split_subdir(struct mount_source *s, char *text)
{
	char *at = strstr(text, ":/");
	struct stat st;

	if (!at || stat(text, &st) == 0)
		return;
	if (is_path(text)) {
		*at = '\0';
		if (stat(text, &st) < 0 && !is_socket_name(text)) {
			*at = ':';
			return;
		}
	}
	*at = '\0';
	if (at[2])
		s->subdir = mem_strdup(at + 2);
}

static int refuse_backups(const struct mount_args *args, struct err *err)
{
	if (!args->options.backup_servers && !args->options.mon_addr)
		return 0;
	err_set(err, -EINVAL, "further nodes are named, but the source '%s' is a path and not a host",
		args->source.text);
	return err_advise(err, "nothing was mounted", "mount -t quorumfs HOST,HOST,... DIR");
}

static int resolve_path(struct mount_args *args, char *path, struct err *err)
{
	struct mount_source *s = &args->source;
	struct stat st = { .st_mode = 0 };
	bool exists = stat(path, &st) == 0;

	if (refuse_backups(args, err) < 0)
		return err->code;
	/* A node that has not started yet has no socket: mounting waits for it. */
	if (exists ? S_ISSOCK(st.st_mode) : is_socket_name(path))
		return add_socket(s, path, err);
	if (exists && !S_ISDIR(st.st_mode)) {
		err_set(err, -ENOTDIR, "the source '%s' is neither a store's directory nor a node's socket", path);
		return err_advise(err, "nothing was mounted", "quorumfs init DIR");
	}
	return resolve_directory(args, path, err);
}

static int resolve(struct mount_args *args, char *text, int *exit_code, struct err *err)
{
	struct mount_source *s = &args->source;
	bool is_unix = strncmp(text, "unix:", 5) == 0;
	struct stat st;

	*exit_code = MOUNT_FAILED;
	split_subdir(s, is_unix ? text + 5 : text);
	if (s->subdir && args->options.subdir) {
		err_set(err, -EINVAL, "a directory is named twice: '%s' in the source, '%s' by the option 'subdir'",
			s->subdir, args->options.subdir);
		return err_advise(err, "nothing was mounted", "mount with one of them");
	}
	if (args->options.subdir)
		s->subdir = mem_strdup(args->options.subdir);
	if (s->subdir && args->options.delay_connect) {
		err_set(err, -EINVAL, "delay_connect asks nobody, but somebody must be asked for the directory '%s'",
			s->subdir);
		return err_advise(err, "nothing was mounted", "mount without delay_connect, or with bg");
	}
	if (is_unix)
		return refuse_backups(args, err) < 0 ? err->code : add_socket(s, text + 5, err);
	if (stat(text, &st) == 0 || is_path(text) || args->options.create)
		return resolve_path(args, text, err);
	*exit_code = MOUNT_USAGE;
	return resolve_hosts(args, text, strlen(text), err);
}

int mount_source_resolve(struct mount_args *args, int *exit_code, struct err *err)
{
	char *text = mem_strdup(args->source.text);
	int ret = resolve(args, text, exit_code, err);

	free(text);
	return ret;
}
