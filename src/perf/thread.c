/* thread.c: the counts of one thread: groups opened, read where a part begins and where it ends.
 *
 *   open    the first event of a group that the kernel takes leads it; one that it does not take is missing
 *   begin   ...usage, groups | the part | groups, usage...   end: the difference is added
 *
 * So reading the groups, which costs a microsecond or two, is outside of what they count.
 */
#include <errno.h>

#include "perf/events.h"
#include "perf/internal.h"

struct omni_perf {
    const perf_source *source;
    int fd[OMNI_PERF_OPENED];     /* -1: missing */
    int leader[OMNI_PERF_GROUPS]; /* -1: nobody */
    omni_perf_counts sums, begun;
};

omni_perf *perf_open_from(const perf_source *source) {
    omni_perf *p = omni_alloc(sizeof *p);
    if (!p) return NULL;
    p->source = source;
    for (size_t g = 0; g < OMNI_PERF_GROUPS; g++) p->leader[g] = -1;
    for (size_t i = 0; i < OMNI_PERF_OPENED; i++) {
        size_t g = perf_events[i].group;
        int fd = source->open((omni_perf_event)i, p->leader[g]);
        p->fd[i] = fd < 0 ? -1 : fd;
        p->sums.missing[i] = fd < 0 ? -fd : 0;
        if (fd >= 0 && p->leader[g] < 0) p->leader[g] = fd;
    }
    return p;
}

void omni_perf_close(omni_perf *p) {
    if (!p) return;
    for (size_t i = OMNI_PERF_OPENED; i-- > 0;) /* leaders last */
        if (p->fd[i] >= 0) p->source->close(p->fd[i]);
    omni_free(p);
}

/* A group that cannot be read is missing from then on. */
static void lose_group(omni_perf *p, size_t group, int error) {
    for (size_t i = 0; i < OMNI_PERF_OPENED; i++)
        if (perf_events[i].group == group && !p->sums.missing[i]) p->sums.missing[i] = error;
    p->leader[group] = -1;
}

static void read_group(omni_perf *p, size_t group, omni_perf_counts *now) {
    enum { HEAD = 3 };
    uint64_t word[HEAD + OMNI_PERF_OPENED];
    if (p->leader[group] < 0) return;
    int got = p->source->read(p->leader[group], word, sizeof word / sizeof *word), next = HEAD;
    if (got < HEAD || word[0] != (uint64_t)got - HEAD) { /* 0: the kernel could not keep a pinned group */
        lose_group(p, group, got < 0 ? -got : EIO);
        return;
    }
    now->enabled_ns[group] = word[1];
    now->running_ns[group] = word[2];
    for (size_t i = 0; i < OMNI_PERF_OPENED && next < got; i++)
        if (perf_events[i].group == group && p->fd[i] >= 0) now->value[i] = word[next++];
}

void omni_perf_begin(omni_perf *p) {
    p->begun = (omni_perf_counts){0};
    p->source->usage(p->begun.value);
    for (size_t g = 0; g < OMNI_PERF_GROUPS; g++) read_group(p, g, &p->begun);
}

void omni_perf_end(omni_perf *p) {
    omni_perf_counts now = {0};
    for (size_t g = OMNI_PERF_GROUPS; g-- > 0;) read_group(p, g, &now);
    p->source->usage(now.value);
    omni_perf_counts part = omni_perf_between(&p->begun, &now);
    for (size_t g = 0; g < OMNI_PERF_GROUPS; g++) {
        if (p->leader[g] >= 0) continue; /* lost in between: half a difference */
        part.enabled_ns[g] = part.running_ns[g] = 0;
    }
    omni_perf_add(&p->sums, &part);
}

const omni_perf_counts *omni_perf_sums(const omni_perf *p) {
    return &p->sums;
}
