/*
 * blind_names.c - directories as sets of names: which name leads to which inode. See blind.h.
 *
 * A cell is one name in one directory. Cells and inodes are joined (union-find) by the operations that
 * speak of several of them; each class of cells is one object, its state the value of each cell:
 *
 *   0                       no such name
 *   type | inode            what is known to be there
 *   type | FRESH | number   an inode that nobody has seen yet, made by operation `number`; the first
 *                           answer that shows it gives it its inode number, everywhere
 *
 * A directory that no cell ever held is there always. Of a refusal the model asks that its reason holds; of
 * several reasons any will do, as POSIX leaves the order open.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "tests/history/blind.h"

#define TYPE_SHIFT 60
#define FRESH (1ull << 59)
#define ID_MASK (FRESH - 1)

enum cell_type { TYPE_UNKNOWN, TYPE_FILE, TYPE_DIR, TYPE_OTHER };

/* What a blind_op says, beside the operation itself; a, b are nodes. */
enum names_kind {
	NAMES_PLAIN,   /* the operation, on cell a (and b) */
	NAMES_LISTED,  /* a listing shows cell a, leading to inode node b */
	NAMES_MISSING, /* a listing does not show cell a */
	NAMES_WHOLE,   /* a listing shows all of directory node a */
	NAMES_COUNT,   /* an answer tells the link count of inode node a */
};

struct node {
	uint32_t parent; /* union-find; the root: itself */
	bool is_cell;
	/* a cell */
	uint32_t dir; /* node */
	const char *name;
	size_t name_len;
	uint32_t place; /* in the state of the object asked for last */
	/* an inode: what the whole history says of it */
	uint64_t ino;
	bool named; /* some cell held it, and not only by a new hard link: it comes and goes with its names */
	bool made;    /* an answered operation made it and told its number */
	bool coupled; /* joined with every cell that holds it */
	uint8_t type;
};

struct names {
	const struct history *h;
	struct intern keys; /* node numbers */
	struct node *nodes;
	size_t node_cap;
	struct blind_op *ops; /* by object; kind, a, b are ours */
	size_t op_count, op_cap;
	size_t *starts; /* first op of each object, and the end */
	size_t object_count;
	bool *judged; /* by operation of the history */
	/* of the object asked for last */
	uint32_t *cells; /* nodes, by place */
	size_t cell_count;
	struct intern states;
	uint64_t *now; /* of one step: the values of its cells */
};

/* ---- nodes ----------------------------------------------------------------------------------------- */

static uint32_t node_at(struct names *n, const void *key, size_t len, bool *is_new)
{
	size_t before = n->keys.count;
	uint32_t i = intern_put(&n->keys, key, len);

	*is_new = n->keys.count > before;
	if (!*is_new)
		return i;
	if (i == n->node_cap) {
		n->node_cap = n->node_cap ? 2 * n->node_cap : 64;
		n->nodes = mem_realloc(n->nodes, n->node_cap * sizeof(*n->nodes));
	}
	n->nodes[i] = (struct node){ .parent = i };
	return i;
}

static uint32_t inode_at(struct names *n, uint64_t ino)
{
	bool is_new;
	uint32_t i = node_at(n, &ino, sizeof(ino), &is_new);

	if (is_new)
		n->nodes[i].ino = ino;
	return i;
}

static struct node *inode_node(struct names *n, uint64_t ino)
{
	uint32_t i = inode_at(n, ino); /* may move the nodes */

	return &n->nodes[i];
}

/* The key is the directory's node and the name: longer than an inode's. name stays the caller's. */
static uint32_t cell_at(struct names *n, uint64_t dir_ino, const char *name, size_t len)
{
	uint32_t dir = inode_at(n, dir_ino), i;
	struct buf key = BUF_INIT;
	bool is_new;

	buf_put_le64(&key, dir_ino);
	buf_put_u8(&key, '/');
	buf_put(&key, name, len);
	i = node_at(n, key.data, key.len, &is_new);
	buf_release(&key);
	if (is_new) {
		n->nodes[i].is_cell = true;
		n->nodes[i].dir = dir;
		n->nodes[i].name = name;
		n->nodes[i].name_len = len;
		n->nodes[dir].type = TYPE_DIR;
	}
	return i;
}

static uint32_t root_of(struct names *n, uint32_t i)
{
	while (n->nodes[i].parent != i) {
		n->nodes[i].parent = n->nodes[n->nodes[i].parent].parent;
		i = n->nodes[i].parent;
	}
	return i;
}

static void join(struct names *n, uint32_t a, uint32_t b)
{
	n->nodes[root_of(n, a)].parent = root_of(n, b);
}

/* ---- what an operation is about -------------------------------------------------------------------- */

static bool makes(uint8_t op)
{
	return op == FS_CREATE || op == FS_MKDIR || op == FS_SYMLINK || op == FS_MKNOD;
}

static bool has_cell(const struct hist_op *op)
{
	return makes(op->rq.op) || op->rq.op == FS_LOOKUP || op->rq.op == FS_UNLINK ||
	       op->rq.op == FS_RMDIR || op->rq.op == FS_LINK || op->rq.op == FS_RENAME;
}

static uint8_t type_of_mode(uint32_t mode)
{
	if (S_ISDIR(mode))
		return TYPE_DIR;
	return S_ISREG(mode) ? TYPE_FILE : TYPE_OTHER;
}

static uint8_t type_made(const struct fs_request *rq)
{
	switch (rq->op) {
	case FS_MKDIR:
		return TYPE_DIR;
	case FS_CREATE:
		return TYPE_FILE;
	case FS_MKNOD:
		return type_of_mode(rq->mode);
	default:
		return TYPE_OTHER;
	}
}

/* Reasons of refusals; several may hold at once. */
enum { NOENT = 1, EXIST = 2, NOTDIR = 4, ISDIR = 8, NOTEMPTY = 16, INVAL = 32, PERM = 64 };

/* What an errno may stand for; 0: it is not judged. */
static unsigned int reasons_of(int status)
{
	switch (-status) {
	case ENOENT:
	case ESTALE:
		return NOENT;
	case EEXIST:
		return EXIST | NOTEMPTY;
	case ENOTDIR:
		return NOTDIR;
	case EISDIR:
		return ISDIR;
	case EPERM:
		return ISDIR | PERM;
	case ENOTEMPTY:
		return NOTEMPTY;
	case EINVAL:
		return INVAL;
	default:
		return 0;
	}
}

/* "." and ".." are no cells: what they lead to is a matter of other names. */
static bool is_dots(const char *name, size_t len)
{
	return len > 0 && name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

static bool judged_status(const struct hist_op *op)
{
	if (is_dots(op->rq.name, op->rq.name_len) || is_dots(op->rq.name2, op->rq.name2_len))
		return false;
	if (!op->done)
		return !fs_op_is_read(op->rq.op);
	if (op->status == 0)
		return true;
	return has_cell(op) && reasons_of(op->status) != 0;
}

static bool counts_links(const struct hist_op *op)
{
	return op->done && (op->known & HIST_NLINK) && (op->known & HIST_INO) &&
	       !S_ISDIR(op->reply.attr.mode);
}

/* ---- first pass: nodes ----------------------------------------------------------------------------- */

static void saw_inode(struct names *n, uint64_t ino, uint8_t type)
{
	struct node *i = inode_node(n, ino);

	i->named = true;
	if (type != TYPE_UNKNOWN)
		i->type = type;
}

static void note_listing(struct names *n, const struct hist_op *op)
{
	const uint8_t *data = op->reply.data;
	size_t len = op->reply.data_len;
	struct fs_dirent d;

	inode_at(n, op->rq.ino);
	while (fs_dirent_next(&data, &len, &d)) {
		if (is_dots(d.name, d.name_len))
			continue;
		cell_at(n, op->rq.ino, d.name, d.name_len);
		saw_inode(n, d.ino, d.mode ? type_of_mode(d.mode) : TYPE_UNKNOWN);
	}
}

static void note_cells(struct names *n, const struct hist_op *op)
{
	const struct fs_request *rq = &op->rq;
	uint32_t inode;

	if (rq->op == FS_LINK) {
		cell_at(n, rq->ino2, rq->name, rq->name_len);
		inode_node(n, rq->ino)->coupled = true;
		return;
	}
	cell_at(n, rq->ino, rq->name, rq->name_len);
	if (rq->op == FS_RENAME)
		cell_at(n, rq->ino2, rq->name2, rq->name2_len);
	if (!op->done || op->status != 0 || !(op->known & HIST_INO) ||
	    !(makes(rq->op) || rq->op == FS_LOOKUP))
		return;
	saw_inode(n, op->reply.attr.ino,
		  makes(rq->op)           ? type_made(rq)
		  : op->known & HIST_TYPE ? type_of_mode(op->reply.attr.mode)
					  : TYPE_UNKNOWN);
	inode = inode_at(n, op->reply.attr.ino);
	if (makes(rq->op) && (rq->op != FS_CREATE || (rq->flags & O_EXCL) ||
			      ((op->known & HIST_CREATED) && op->reply.created)))
		n->nodes[inode].made = true;
}

static void note(struct names *n, const struct hist_op *op)
{
	if (has_cell(op))
		note_cells(n, op);
	else if (op->rq.op == FS_READDIR && (op->known & HIST_DATA))
		note_listing(n, op);
	if (counts_links(op))
		inode_node(n, op->reply.attr.ino)->coupled = true;
}

/* ---- second pass: operations and what they join ----------------------------------------------------- */

static void add(struct names *n, const struct hist_op *op, enum names_kind kind, uint32_t a,
		uint32_t b)
{
	if (n->op_count == n->op_cap) {
		n->op_cap = n->op_cap ? 2 * n->op_cap : 64;
		n->ops = mem_realloc(n->ops, n->op_cap * sizeof(*n->ops));
	}
	n->ops[n->op_count++] =
		(struct blind_op){ .op = op, .kind = (uint8_t)kind, .a = a, .b = b };
	if (kind == NAMES_LISTED || kind == NAMES_MISSING) {
		n->ops[n->op_count - 1].about = n->nodes[a].name;
		n->ops[n->op_count - 1].about_len = n->nodes[a].name_len;
	}
	n->judged[op - n->h->ops] = true;
}

/* Cell `a` may hold inode node `i`. */
static void join_value(struct names *n, uint32_t a, uint32_t i)
{
	if (n->nodes[i].coupled || n->nodes[i].type == TYPE_DIR)
		join(n, a, i);
}

static void add_cells(struct names *n, const struct hist_op *op)
{
	const struct fs_request *rq = &op->rq;
	uint32_t a, b = 0;

	if (rq->op == FS_LINK) {
		a = cell_at(n, rq->ino2, rq->name, rq->name_len);
		b = inode_at(n, rq->ino);
		join(n, a, b);
	} else {
		a = cell_at(n, rq->ino, rq->name, rq->name_len);
		if (rq->op == FS_RENAME) {
			b = cell_at(n, rq->ino2, rq->name2, rq->name2_len);
			join(n, a, b);
		}
		if (op->done && op->status == 0 && (op->known & HIST_INO))
			join_value(n, a, inode_at(n, op->reply.attr.ino));
	}
	add(n, op, NAMES_PLAIN, a, b);
}

/* The inode node that a listing shows for a cell, or 0 and false. */
static bool listed(struct names *n, const struct hist_op *op, const struct node *cell,
		   uint32_t *inode)
{
	const uint8_t *data = op->reply.data;
	size_t len = op->reply.data_len;
	struct fs_dirent d;

	while (fs_dirent_next(&data, &len, &d)) {
		if (d.name_len == cell->name_len && memcmp(d.name, cell->name, d.name_len) == 0) {
			*inode = inode_at(n, d.ino);
			return true;
		}
	}
	return false;
}

static void add_listing(struct names *n, const struct hist_op *op)
{
	uint32_t dir = inode_at(n, op->rq.ino), inode = 0;

	/* Nodes are all known by now: the loop's bound stays. */
	for (uint32_t i = 0; i < n->keys.count; i++) {
		if (!n->nodes[i].is_cell || n->nodes[i].dir != dir)
			continue;
		if (op->rq.flags == HIST_LIST_WHOLE)
			join(n, i, dir);
		if (listed(n, op, &n->nodes[i], &inode)) {
			join_value(n, i, inode);
			if (op->rq.flags != HIST_LIST_WHOLE)
				add(n, op, NAMES_LISTED, i, inode);
		} else if (op->rq.flags == HIST_LIST_PIECES) {
			add(n, op, NAMES_MISSING, i, 0);
		}
	}
	if (op->rq.flags == HIST_LIST_WHOLE)
		add(n, op, NAMES_WHOLE, dir, 0);
}

static void add_op(struct names *n, const struct hist_op *op)
{
	if (has_cell(op))
		add_cells(n, op);
	else if (op->rq.op == FS_READDIR && (op->known & HIST_DATA))
		add_listing(n, op);
	else if (counts_links(op) && inode_node(n, op->reply.attr.ino)->named)
		add(n, op, NAMES_COUNT, inode_at(n, op->reply.attr.ino), 0);
}

/* The emptiness of a directory that can go, and whether it is gone, are a matter of all its cells. */
static void join_directories(struct names *n)
{
	for (uint32_t i = 0; i < n->keys.count; i++) {
		if (n->nodes[i].is_cell && n->nodes[n->nodes[i].dir].named)
			join(n, i, n->nodes[i].dir);
	}
}

/* ---- objects --------------------------------------------------------------------------------------- */

struct by_root {
	uint32_t root;
	size_t op;
};

static int compare_roots(const void *a, const void *b)
{
	const struct by_root *x = a, *y = b;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static void sort_by_object(struct names *n)
{
	struct by_root *order = mem_calloc(n->op_count, sizeof(*order));
	struct blind_op *ops = mem_calloc(n->op_count, sizeof(*ops));

	for (size_t i = 0; i < n->op_count; i++)
		order[i] = (struct by_root){ root_of(n, n->ops[i].a), i };
	qsort(order, n->op_count, sizeof(*order), compare_roots);
	n->starts = mem_calloc(n->op_count + 1, sizeof(*n->starts));
	for (size_t i = 0; i < n->op_count; i++) {
		ops[i] = n->ops[order[i].op];
		if (i == 0 || order[i].root != order[i - 1].root)
			n->starts[n->object_count++] = i;
	}
	n->starts[n->object_count] = n->op_count;
	free(n->ops);
	free(order);
	n->ops = ops;
}

struct names *names_new(const struct history *h)
{
	struct names *n = mem_calloc(1, sizeof(*n));

	n->h = h;
	n->judged = mem_calloc(h->count, sizeof(*n->judged));
	for (size_t i = 0; i < h->count; i++) {
		if (judged_status(&h->ops[i]))
			note(n, &h->ops[i]);
	}
	for (size_t i = 0; i < h->count; i++) {
		if (judged_status(&h->ops[i]))
			add_op(n, &h->ops[i]);
	}
	join_directories(n);
	sort_by_object(n);
	n->now = mem_calloc(n->keys.count, sizeof(*n->now));
	n->cells = mem_calloc(n->keys.count, sizeof(*n->cells));
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	intern_release(&n->keys);
	intern_release(&n->states);
	free(n->nodes);
	free(n->ops);
	free(n->starts);
	free(n->judged);
	free(n->cells);
	free(n->now);
	free(n);
}

size_t names_object_count(const struct names *n)
{
	return n->object_count;
}

bool names_judges(const struct names *n, size_t op)
{
	return n->judged[op];
}

/* ---- one step -------------------------------------------------------------------------------------- */

static uint64_t value_of(uint8_t type, uint64_t id)
{
	return (uint64_t)type << TYPE_SHIFT | id;
}

static uint8_t type_of(uint64_t value)
{
	return (uint8_t)(value >> TYPE_SHIFT);
}

static bool is_inode(uint64_t value, uint64_t ino)
{
	return value && !(value & FRESH) && (value & ID_MASK) == ino;
}

static size_t links_to(const struct names *n, uint64_t ino)
{
	size_t count = 0;

	for (size_t i = 0; i < n->cell_count; i++)
		count += is_inode(n->now[i], ino);
	return count;
}

static bool dir_lives(const struct names *n, const struct node *cell)
{
	const struct node *dir = &n->nodes[cell->dir];

	return !dir->named || links_to(n, dir->ino) > 0;
}

static bool dir_empty(const struct names *n, uint64_t value)
{
	for (size_t i = 0; i < n->cell_count; i++) {
		const struct node *dir = &n->nodes[n->nodes[n->cells[i]].dir];

		if (n->now[i] && is_inode(value, dir->ino))
			return false;
	}
	return true;
}

/* An answer shows that the cell holds this inode. One that nobody has seen yet becomes it. */
static bool observe(struct names *n, const struct node *cell, const struct node *inode)
{
	uint64_t value = n->now[cell->place], known;

	if (!(value & FRESH))
		return is_inode(value, inode->ino);
	if (inode->made || links_to(n, inode->ino) > 0 ||
	    (inode->type != TYPE_UNKNOWN && inode->type != type_of(value)))
		return false;
	known = value_of(type_of(value), inode->ino);
	for (size_t i = 0; i < n->cell_count; i++) {
		if (n->now[i] == value)
			n->now[i] = known;
	}
	return true;
}

struct outcome {
	unsigned int must, may; /* reasons to refuse; 0: it succeeds */
	bool agrees;            /* with what a successful answer says */
};

static const struct node *inode_told(struct names *n, const struct hist_op *op)
{
	return op->known & HIST_INO ? inode_node(n, op->reply.attr.ino) : NULL;
}

/* number: of the operation in the history. */
static void step_make(struct names *n, const struct hist_op *op, uint64_t number,
		      const struct node *cell, struct outcome *out)
{
	const struct node *inode = inode_told(n, op);
	uint64_t *value = &n->now[cell->place];
	bool opens = op->rq.op == FS_CREATE && !(op->rq.flags & O_EXCL);
	bool knows_created = opens && (op->known & HIST_CREATED);

	if (!dir_lives(n, cell))
		out->must |= NOENT;
	else if (*value && !opens)
		out->must |= EXIST;
	else if (*value && type_of(*value) == TYPE_DIR)
		out->must |= ISDIR;
	else if (*value && type_of(*value) == TYPE_OTHER)
		out->must |= NOENT; /* ESTALE: the kernel walks the path again */
	else if (*value)
		out->agrees = (!inode || observe(n, cell, inode)) &&
			      !(knows_created && op->reply.created);
	else if (inode)
		out->agrees =
			links_to(n, inode->ino) == 0 && !(knows_created && !op->reply.created);
	if (out->must || *value)
		return;
	*value = inode ? value_of(type_made(&op->rq), inode->ino)
		       : value_of(type_made(&op->rq), FRESH | number);
}

static void step_remove(struct names *n, const struct hist_op *op, const struct node *cell,
			struct outcome *out)
{
	uint64_t *value = &n->now[cell->place];
	bool dir = *value && type_of(*value) == TYPE_DIR;

	if (!dir_lives(n, cell) || !*value)
		out->must |= NOENT;
	else if (op->rq.op == FS_UNLINK && dir)
		out->must |= ISDIR;
	else if (op->rq.op == FS_RMDIR && !dir)
		out->must |= NOTDIR;
	else if (op->rq.op == FS_RMDIR && !dir_empty(n, *value))
		out->must |= NOTEMPTY;
	else
		*value = 0;
}

static void step_lookup(struct names *n, const struct hist_op *op, const struct node *cell,
			struct outcome *out)
{
	const struct node *inode = inode_told(n, op);

	if (!dir_lives(n, cell) || !n->now[cell->place])
		out->must |= NOENT;
	else
		out->agrees = !inode || observe(n, cell, inode);
}

static void step_link(struct names *n, const struct node *cell, const struct node *inode,
		      struct outcome *out)
{
	if (!dir_lives(n, cell))
		out->must |= NOENT;
	if (n->now[cell->place])
		out->must |= EXIST;
	if (inode->type == TYPE_DIR)
		out->must |= PERM;
	if (inode->named && links_to(n, inode->ino) == 0)
		out->must |= NOENT;
	if (!out->must)
		n->now[cell->place] = value_of(inode->type ? inode->type : TYPE_FILE, inode->ino);
}

static void rename_reasons(const struct names *n, const struct node *a, const struct node *b,
			   uint32_t flags, struct outcome *out)
{
	uint64_t from = n->now[a->place], to = n->now[b->place];
	bool exchange = flags & RENAME_EXCHANGE;
	bool from_dir = type_of(from) == TYPE_DIR, to_dir = type_of(to) == TYPE_DIR;

	if (!dir_lives(n, a) || !dir_lives(n, b) || !from || (exchange && !to))
		out->must |= NOENT;
	if (to && (flags & RENAME_NOREPLACE))
		out->must |= EXIST;
	/* A directory may be asked into itself; where it lies is beyond this object. */
	if (from_dir || (exchange && to_dir))
		out->may |= INVAL;
	if (to_dir)
		out->may |= NOTEMPTY;
	if (!from || !to || exchange || from == to)
		return;
	if (from_dir && !to_dir)
		out->must |= NOTDIR;
	if (!from_dir && to_dir)
		out->must |= ISDIR;
	if (to_dir && !dir_empty(n, to))
		out->must |= NOTEMPTY;
}

static void step_rename(struct names *n, const struct hist_op *op, const struct node *a,
			const struct node *b, struct outcome *out)
{
	uint64_t *from = &n->now[a->place], *to = &n->now[b->place], old;

	rename_reasons(n, a, b, op->rq.flags, out);
	if (out->must || from == to || *from == *to)
		return;
	old = *to;
	*to = *from;
	*from = op->rq.flags & RENAME_EXCHANGE ? old : 0;
}

static void step_whole(struct names *n, const struct hist_op *op, uint32_t dir, struct outcome *out)
{
	for (size_t i = 0; i < n->cell_count && out->agrees; i++) {
		const struct node *cell = &n->nodes[n->cells[i]];
		uint32_t inode;

		if (cell->dir != dir)
			continue;
		if (listed(n, op, cell, &inode))
			out->agrees = n->now[i] && observe(n, cell, &n->nodes[inode]);
		else
			out->agrees = n->now[i] == 0;
	}
}

static void step_plain(struct names *n, const struct blind_op *b, const struct hist_op *op,
		       struct outcome *out)
{
	const struct node *cell = &n->nodes[b->a];

	switch (op->rq.op) {
	case FS_LOOKUP:
		step_lookup(n, op, cell, out);
		break;
	case FS_UNLINK:
	case FS_RMDIR:
		step_remove(n, op, cell, out);
		break;
	case FS_LINK:
		step_link(n, cell, &n->nodes[b->b], out);
		break;
	case FS_RENAME:
		step_rename(n, op, cell, &n->nodes[b->b], out);
		break;
	default:
		step_make(n, op, (uint64_t)(b->op - n->h->ops), cell, out);
	}
	if (out->agrees && !out->must && counts_links(op) &&
	    inode_node(n, op->reply.attr.ino)->coupled)
		out->agrees = links_to(n, op->reply.attr.ino) == op->reply.attr.nlink;
}

static void step_kind(struct names *n, const struct blind_op *b, const struct hist_op *op,
		      struct outcome *out)
{
	const struct node *a = &n->nodes[b->a];

	switch (b->kind) {
	case NAMES_PLAIN:
		step_plain(n, b, op, out);
		break;
	case NAMES_LISTED:
		out->agrees = n->now[a->place] && observe(n, a, &n->nodes[b->b]);
		break;
	case NAMES_MISSING:
		out->agrees = n->now[a->place] == 0;
		break;
	case NAMES_WHOLE:
		step_whole(n, op, b->a, out);
		break;
	default:
		out->agrees = links_to(n, a->ino) == op->reply.attr.nlink;
	}
}

static bool names_step(void *ctx, uint32_t state, const struct wgl_op *w, uint32_t *next)
{
	const struct blind_op *b = w->what;
	struct outcome out = { .agrees = true };
	struct names *n = ctx;
	struct hist_op op = *b->op;

	*next = state;
	if (w->open)
		op.known = 0;
	memcpy(n->now, intern_get(&n->states, state, NULL), n->cell_count * sizeof(*n->now));
	step_kind(n, b, &op, &out);
	if (out.must)
		return w->open ||
		       (b->op->status != 0 && (reasons_of(b->op->status) & (out.must | out.may)));
	if (!w->open && b->op->status != 0)
		return reasons_of(b->op->status) & out.may;
	if (!w->open && !out.agrees)
		return false;
	*next = intern_put(&n->states, n->now, n->cell_count * sizeof(*n->now));
	return true;
}

static uint64_t names_bytes(void *ctx)
{
	return ((const struct names *)ctx)->states.bytes;
}

/* ---- one object ------------------------------------------------------------------------------------ */

static void put_title(const struct names *n, struct buf *title)
{
	buf_printf(title, "names");
	for (size_t i = 0; i < n->cell_count && i < 8; i++) {
		const struct node *cell = &n->nodes[n->cells[i]];

		buf_printf(title, " %llu/%.*s", (unsigned long long)n->nodes[cell->dir].ino,
			   (int)cell->name_len, cell->name);
	}
	if (n->cell_count > 8)
		buf_printf(title, " and %zu more", n->cell_count - 8);
}

const struct blind_op *names_object(struct names *n, size_t object, size_t *count,
				    struct wgl_model *wgl, struct buf *title)
{
	size_t start = n->starts[object];
	uint32_t root = root_of(n, n->ops[start].a);

	n->cell_count = 0;
	for (uint32_t i = 0; i < n->keys.count; i++) {
		if (!n->nodes[i].is_cell || root_of(n, i) != root)
			continue;
		n->nodes[i].place = (uint32_t)n->cell_count;
		n->cells[n->cell_count++] = i;
	}
	intern_release(&n->states);
	memset(n->now, 0, n->cell_count * sizeof(*n->now));
	*wgl = (struct wgl_model){ .step = names_step, .bytes = names_bytes, .ctx = n };
	wgl->initial = intern_put(&n->states, n->now, n->cell_count * sizeof(*n->now));
	put_title(n, title);
	*count = n->starts[object + 1] - start;
	return n->ops + start;
}
