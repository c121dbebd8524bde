/* share.c: files that come with omnibus: arrays, models, experiments, demo.
 *
 *     a checkout           ./configs/arrays/ideal.ini
 *     told                 $OMNIBUS_SHARE/configs/arrays/ideal.ini
 *     built                CHECKOUT/configs/arrays/ideal.ini, of CHECKOUT/build/VARIANT/omnibus
 *     installed            PREFIX/share/omnibus/configs/arrays/ideal.ini, of PREFIX/bin/omnibus or PREFIX/lib/libomnibus.so
 *
 * What is installed is found from where the code runs, so a tree that was moved, or unpacked below a DESTDIR, works.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/base.h"

static const char code; /* lies where this code does */

enum { ROOT_HERE, ROOT_TOLD, ROOT_BUILT, ROOT_PROGRAM, ROOT_LIBRARY, ROOTS };

/* The last name of a path is cut off; NULL when there is none. */
static char *share_cut(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) *slash = '\0';
    return slash ? slash + 1 : NULL;
}

/* "PREFIX/bin/omnibus" -> "PREFIX/share/omnibus/", with symbolic links followed. */
static bool share_beside(const char *file, char root[PATH_MAX]) {
    char *real = file ? realpath(file, NULL) : NULL;
    for (int up = 0; real && up < 2; up++) share_cut(real);
    int n = real ? snprintf(root, PATH_MAX, "%s/share/omnibus/", real) : -1;
    free(real);
    return n >= 0 && n < PATH_MAX;
}

/* "CHECKOUT/build/release/omnibus" -> "CHECKOUT/", unless we are there: names come once. */
static bool share_built(const char *file, char root[PATH_MAX]) {
    char *real = realpath(file, NULL), *build = NULL;
    struct stat here, there;
    for (int up = 0; real && up < 3; up++) build = share_cut(real);
    bool found = build && strcmp(build, "build") == 0 && stat(real, &there) == 0 && stat(".", &here) == 0;
    bool away = found && (here.st_dev != there.st_dev || here.st_ino != there.st_ino);
    int n = away ? snprintf(root, PATH_MAX, "%s/", real) : -1;
    free(real);
    return n >= 0 && n < PATH_MAX;
}

/* With a '/' at the end; false when there is none. */
static bool share_root(int which, char root[PATH_MAX]) {
    Dl_info library;
    const char *told = getenv("OMNIBUS_SHARE");
    root[0] = '\0';
    switch (which) {
    case ROOT_HERE:
        return true;
    case ROOT_TOLD:
        return told && *told && snprintf(root, PATH_MAX, "%s/", told) < PATH_MAX;
    case ROOT_BUILT:
        return share_built("/proc/self/exe", root);
    case ROOT_PROGRAM:
        return share_beside("/proc/self/exe", root);
    default:
        return dladdr(&code, &library) != 0 && share_beside(library.dli_fname, root);
    }
}

bool omni_share_find(const char *file, const char *kind, const char *suffix, char *path, size_t cap) {
    char root[PATH_MAX];
    bool name = !strchr(file, '/'), ours = strncmp(file, "configs/", 8) == 0;
    if ((size_t)snprintf(path, cap, "%s", file) >= cap) return false;
    if (!*file || access(file, F_OK) == 0) return *file;
    for (int which = 0; (name || ours) && which < ROOTS; which++) {
        if (!share_root(which, root)) continue;
        int n = name ? snprintf(path, cap, "%sconfigs/%s/%s%s", root, kind, file, suffix)
                     : snprintf(path, cap, "%s%s", root, file);
        if (n >= 0 && (size_t)n < cap && access(path, F_OK) == 0) return true;
    }
    snprintf(path, cap, "%s", file);
    return false;
}

/* The names in a directory that end in `suffix`, without it, in their order; without a suffix those of
 * directories. */
static void share_each_in(const char *dir, const char *suffix, omni_share_visit *visit, void *arg) {
    struct dirent **list = NULL;
    int count = scandir(dir, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *name = list[i]->d_name;
        size_t length = strlen(name), cut = strlen(suffix);
        bool kind = cut || list[i]->d_type != DT_REG;
        if (kind && name[0] != '.' && length > cut && strcmp(name + length - cut, suffix) == 0) {
            name[length - cut] = '\0';
            visit(arg, name);
        }
        free(list[i]);
    }
    free(list);
}

void omni_share_each(const char *kind, const char *suffix, omni_share_visit *visit, void *arg) {
    char root[PATH_MAX], dir[PATH_MAX];
    for (int which = 0; which < ROOTS; which++)
        if (share_root(which, root) && snprintf(dir, sizeof dir, "%sconfigs/%s", root, kind) < PATH_MAX)
            share_each_in(dir, suffix, visit, arg);
}

static void share_try(void *guess, const char *name) {
    omni_guess_try(guess, name);
}

void omni_share_guess(const char *kind, const char *suffix, omni_guess *g) {
    omni_share_each(kind, suffix, share_try, g);
}
