/* quota.c: what the control groups leave us: CPU time and memory.
 *
 * /proc/self/cgroup says in which group we are, one line a hierarchy; /proc/self/mountinfo says where
 * hierarchies are mounted, and which group is the mount's root (not "/" in a container without a cgroup
 * namespace):
 *
 *     4:memory:/a/b                  version 1, controller "memory", group /a/b
 *     0::/a/b                        version 2, all controllers
 *     31 23 0:28 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory     root /a is at that directory
 *
 * A limit of any ancestor binds us too, so each file is read at every level from our group up to the mount's
 * root:
 *
 *     /sys/fs/cgroup/memory/b  ->  /sys/fs/cgroup/memory
 *
 * Absence is normal (no cgroups, a hidden mount, the root group, which has no limits) and means "no limit".
 * Version 1 and 2 may both be mounted; we look at both and take the smallest.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/internal.h"

enum { PATH_BYTES = 1024, LINE_BYTES = 4096, FILE_BYTES = 8192 };

/* Our group's directory in one hierarchy. levels: how often it can go up and still be on the mount. */
typedef struct quota_dir {
    char path[PATH_BYTES];
    size_t mount_length;
} quota_dir;

/* The word `field` in a comma-separated list. */
static bool quota_in_list(const char *list, const char *field) {
    size_t length = strlen(field);
    for (const char *at = list; (at = strstr(at, field)); at += length) {
        bool begins = at == list || at[-1] == ',';
        bool ends = at[length] == '\0' || at[length] == ',';
        if (begins && ends) return true;
    }
    return false;
}

/* Our group for a controller (version 1) or, with NULL, in the unified hierarchy. */
static bool quota_group(const char *root, const char *controller, char *group, size_t cap) {
    char path[PATH_BYTES], line[LINE_BYTES];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *name = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!name) continue;
        *name++ = '\0';
        controllers++;
        found = controller ? quota_in_list(controllers, controller) : *controllers == '\0';
        if (found) found = snprintf(group, cap, "%s", name) < (int)cap;
    }
    if (f) fclose(f);
    return found;
}

/* Splits a line of mountinfo; false when it is no cgroup mount of the wanted hierarchy. */
static bool quota_mount_line(char *line, const char *controller, char **mount_root, char **mount_point) {
    line[strcspn(line, "\n")] = '\0';
    char *type = strstr(line, " - "), *rest = NULL, *fields = NULL;
    if (!type) return false;
    *type = '\0';
    type = strtok_r(type + 3, " ", &rest);
    (void)strtok_r(NULL, " ", &rest); /* source */
    char *options = strtok_r(NULL, " ", &rest);
    if (!type || strcmp(type, controller ? "cgroup" : "cgroup2") != 0) return false;
    if (controller && (!options || !quota_in_list(options, controller))) return false;
    char *field = strtok_r(line, " ", &fields);
    for (int i = 0; field && i < 3; i++) field = strtok_r(NULL, " ", &fields); /* id, parent, device */
    *mount_root = field;
    *mount_point = field ? strtok_r(NULL, " ", &fields) : NULL;
    return *mount_point != NULL;
}

/* `group` as seen from a mount whose root is the group `mount_root`. Outside of it: the mount itself, the
 * best we can see. */
static const char *quota_below(const char *group, const char *mount_root) {
    size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    if (strncmp(group, mount_root, length) != 0) return "";
    const char *below = group + length;
    if (strstr(below, "/..")) return ""; /* above our namespace's root */
    return strcmp(below, "/") != 0 && *below == '/' ? below : "";
}

static bool quota_find(const char *root, const char *controller, quota_dir *dir) {
    char path[PATH_BYTES], line[LINE_BYTES], group[PATH_BYTES];
    if (!quota_group(root, controller, group, sizeof group)) return false;
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        char *mount_root, *mount_point;
        if (!quota_mount_line(line, controller, &mount_root, &mount_point)) continue;
        dir->mount_length = strlen(root) + strlen(mount_point);
        int length = snprintf(dir->path, sizeof dir->path, "%s%s%s", root, mount_point,
                              quota_below(group, mount_root));
        found = length > 0 && (size_t)length < sizeof dir->path;
    }
    if (f) fclose(f);
    return found;
}

/* To the parent group; false at the mount's root. */
static bool quota_up(quota_dir *dir) {
    char *slash = strrchr(dir->path, '/');
    if (strlen(dir->path) <= dir->mount_length || !slash) return false;
    *slash = '\0';
    return true;
}

/* The text of a small file; empty when it can't be read. */
static const char *quota_read(const char *dir, const char *name, char *text, size_t cap) {
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    size_t length = f ? fread(text, 1, cap - 1, f) : 0;
    text[length] = '\0';
    if (f) fclose(f);
    return text;
}

/* A number that must not be negative; false for "max", "-1", "". Moves *at behind it. */
static bool quota_number(const char **at, uint64_t *out) {
    while (isspace((unsigned char)**at)) (*at)++;
    if (!isdigit((unsigned char)**at)) return false;
    char *end;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return true;
}

static bool quota_value(const char *dir, const char *name, uint64_t *out) {
    char text[64];
    const char *at = quota_read(dir, name, text, sizeof text);
    return quota_number(&at, out);
}

/* The value behind "name" at the start of a line of text; 0 when there is none. */
static uint64_t quota_line(const char *text, const char *name) {
    size_t length = strlen(name);
    uint64_t value = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == ':')) {
            const char *at = line + length + 1;
            if (quota_number(&at, &value)) return value;
        }
    return 0;
}

/* --- CPU time: quota / period, as CPUs -------------------------------------------------------- */

static size_t quota_smaller(size_t best, uint64_t quota, uint64_t period) {
    if (period == 0 || quota == 0) return best;
    uint64_t cpus = quota / period + (quota % period != 0);
    return best == 0 || cpus < best ? (size_t)cpus : best;
}

size_t topo_quota_cpus(const char *root) {
    quota_dir dir;
    size_t best = 0;
    uint64_t quota, period;
    if (quota_find(root, NULL, &dir)) {
        do {
            char text[64];
            const char *at = quota_read(dir.path, "cpu.max", text, sizeof text);
            if (quota_number(&at, &quota) && quota_number(&at, &period))
                best = quota_smaller(best, quota, period);
        } while (quota_up(&dir));
    }
    if (quota_find(root, "cpu", &dir)) {
        do {
            bool limited = quota_value(dir.path, "cpu.cfs_quota_us", &quota);
            if (limited && quota_value(dir.path, "cpu.cfs_period_us", &period))
                best = quota_smaller(best, quota, period);
        } while (quota_up(&dir));
    }
    return best;
}

/* --- memory: limit - usage, where page cache that the kernel can drop is not in use ----------- */

typedef struct quota_files {
    const char *controller, *limit, *usage, *inactive, *active;
} quota_files;

static const quota_files memory_files[] = {
    {NULL, "memory.max", "memory.current", "inactive_file", "active_file"},
    {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"},
};

/* A checkpoint that was just read fills the group up to its limit with cache: that must not look like a full
 * memory. */
static uint64_t quota_memory_left(const char *dir, const quota_files *files) {
    uint64_t limit, usage = 0;
    if (!quota_value(dir, files->limit, &limit)) return UINT64_MAX;
    quota_value(dir, files->usage, &usage);
    char text[FILE_BYTES];
    quota_read(dir, "memory.stat", text, sizeof text);
    uint64_t cache = quota_line(text, files->inactive) + quota_line(text, files->active);
    usage = usage > cache ? usage - cache : 0;
    return limit > usage ? limit - usage : 0;
}

uint64_t topo_quota_memory(const char *root) {
    uint64_t left = UINT64_MAX;
    for (size_t i = 0; i < sizeof memory_files / sizeof *memory_files; i++) {
        quota_dir dir;
        if (!quota_find(root, memory_files[i].controller, &dir)) continue;
        do {
            uint64_t here = quota_memory_left(dir.path, &memory_files[i]);
            if (here < left) left = here;
        } while (quota_up(&dir));
    }
    return left;
}

uint64_t topo_meminfo(const char *root, const char *field) {
    char dir[PATH_BYTES], text[FILE_BYTES];
    snprintf(dir, sizeof dir, "%s/proc", root);
    return quota_line(quota_read(dir, "meminfo", text, sizeof text), field) * 1024;
}

uint64_t omni_topo_memory_available(void) {
    uint64_t left = topo_quota_memory(""), host = topo_meminfo("", "MemAvailable");
    long pages = sysconf(_SC_AVPHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (host == 0 && pages > 0 && page_bytes > 0) host = (uint64_t)pages * (uint64_t)page_bytes;
    if (host == 0) return left;
    return host < left ? host : left;
}
