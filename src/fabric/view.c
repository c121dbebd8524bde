/* view.c: views: their size, the columns of a sliced buffer, and the copy between any two of them.
 *
 * The copy walks both views as runs of contiguous bytes and moves the shorter of the two current runs. A view
 * that is one run (flat, or rows that touch) is recognised first, so the usual case is one memcpy a chunk.
 */
#include "fabric/view.h"

#include <string.h>

omni_view omni_view_flat(void *base, size_t bytes) {
    return (omni_view){.base = base, .rows = 1, .stride = bytes, .spans = 1, .span[0] = {.bytes = bytes}};
}

/* Payload bytes of bytes in memory. */
static size_t on_wire(omni_dtype wire, size_t bytes) {
    return wire == OMNI_F32 ? bytes : bytes / sizeof(float) * omni_dtype_bytes(wire);
}

/* The other way. */
static size_t in_memory(omni_dtype wire, size_t bytes) {
    return wire == OMNI_F32 ? bytes : bytes / omni_dtype_bytes(wire) * sizeof(float);
}

static size_t view_row_bytes(const omni_view *v) {
    size_t sum = 0;
    for (size_t i = 0; i < v->spans; i++) sum += on_wire(v->span[i].wire, v->span[i].bytes);
    return sum;
}

size_t omni_view_bytes(const omni_view *v) {
    return v->rows * view_row_bytes(v);
}

bool view_narrows(const omni_view *v) {
    bool narrows = false;
    for (size_t i = 0; i < v->spans; i++) narrows |= v->span[i].wire != OMNI_F32;
    return narrows;
}

omni_view view_plain(omni_view v) {
    for (size_t i = 0; i < v.spans; i++) v.span[i].wire = OMNI_F32;
    return v;
}

size_t view_memory_bytes(const omni_view *v) {
    omni_view plain = view_plain(*v);
    return omni_view_bytes(&plain);
}

void omni_view_round(const omni_view *v) {
    if (view_narrows(v)) view_copy(v, 0, v, 0, omni_view_bytes(v));
}

/* Where byte `at` of a view, gaps left out, stands on the line of its payload. */
static size_t view_place(const omni_view *v, size_t at) {
    omni_view plain = view_plain(*v);
    size_t row = view_row_bytes(&plain), in_row = at % row, place = at / row * view_row_bytes(v);
    for (size_t i = 0; i < v->spans && in_row > 0; i++) {
        size_t n = in_row < v->span[i].bytes ? in_row : v->span[i].bytes;
        place += on_wire(v->span[i].wire, n);
        in_row -= n;
    }
    return place;
}

void view_round_part(const omni_view *v, size_t at, size_t bytes) {
    size_t from = view_place(v, at), to = view_place(v, at + bytes);
    view_copy(v, from, v, from, to - from);
}

/* Units of part j that index i holds. */
static omni_range sliced_units(const omni_sliced *s, size_t j, size_t p, size_t i) {
    size_t runs = s->part[j].runs ? s->part[j].runs : 1;
    return omni_split_runs(runs, s->part[j].units, p, i);
}

omni_view omni_sliced_view(const omni_sliced *s, void *base, size_t p, size_t lo, size_t hi) {
    omni_view v = {.base = base, .rows = s->rows, .stride = s->stride, .spans = s->parts};
    for (size_t j = 0; j < s->parts; j++) {
        size_t unit = s->part[j].unit_bytes;
        size_t start = 0, end = 0;
        if (hi > lo) {
            omni_range last = sliced_units(s, j, p, hi - 1);
            start = sliced_units(s, j, p, lo).start;
            end = last.start + last.count;
        }
        v.span[j].offset = s->part[j].offset + start * unit;
        v.span[j].bytes = (end - start) * unit;
        v.span[j].wire = s->part[j].wire;
    }
    return v;
}

/* --- runs ------------------------------------------------------------------------------------- */

/* Where a walk through a view's payload stands. */
typedef struct view_run {
    const omni_view *view;
    unsigned char *row; /* begin of the current row */
    size_t rows_after;  /* rows that follow it */
    size_t span;        /* current span */
    unsigned char *at;  /* next byte */
    size_t left;        /* payload bytes from here that are contiguous; 0: the view is over */
    omni_dtype wire;    /* theirs */
} view_run;

/* The spans of a row touch and are of one kind, and the rows touch: the payload is one run. */
static bool view_is_one_run(const omni_view *v) {
    size_t bytes = v->span[0].bytes;
    for (size_t i = 1; i < v->spans; bytes += v->span[i++].bytes)
        if (v->span[i].offset != v->span[i - 1].offset + v->span[i - 1].bytes ||
            v->span[i].wire != v->span[0].wire)
            return false;
    return v->rows == 1 || bytes == v->stride;
}

/* The next run that is not empty, after the current span. */
static void run_next(view_run *r) {
    const omni_view *v = r->view;
    r->left = 0;
    while (r->left == 0) {
        if (++r->span >= v->spans) {
            if (r->rows_after == 0) return;
            r->rows_after--;
            r->row += v->stride;
            r->span = 0;
        }
        r->at = r->row + v->span[r->span].offset;
        r->wire = v->span[r->span].wire;
        r->left = on_wire(r->wire, v->span[r->span].bytes);
    }
}

static view_run run_at(const omni_view *v, size_t place) {
    view_run r = {.view = v, .row = v->base};
    size_t row_bytes = view_row_bytes(v);
    if (v->rows == 0 || row_bytes == 0) return r;
    r.wire = v->span[0].wire;
    if (view_is_one_run(v)) {
        r.span = v->spans;
        r.at = r.row + v->span[0].offset + in_memory(r.wire, place);
        r.left = place < v->rows * row_bytes ? v->rows * row_bytes - place : 0;
        return r;
    }
    size_t row = place / row_bytes, in_row = place % row_bytes, span;
    if (row >= v->rows) return r;
    r.row += row * v->stride;
    r.rows_after = v->rows - row - 1;
    while (in_row >= (span = on_wire(v->span[r.span].wire, v->span[r.span].bytes))) {
        in_row -= span;
        r.span++;
    }
    r.wire = v->span[r.span].wire;
    r.at = r.row + v->span[r.span].offset + in_memory(r.wire, in_row);
    r.left = span - in_row;
    return r;
}

static void run_advance(view_run *r, size_t bytes) {
    r->at += in_memory(r->wire, bytes);
    r->left -= bytes;
    if (r->left == 0) run_next(r);
}

/* `bytes` bytes of payload, from a run to another. */
static void run_copy(const view_run *to, const view_run *from, size_t bytes) {
    omni_dtype wire = from->wire == OMNI_F32 ? to->wire : from->wire;
    size_t n = bytes / omni_dtype_bytes(wire);
    void *d = to->at, *s = from->at;
    if (wire == OMNI_F32) {
        if (d != s) memcpy(d, s, bytes);
    } else if (to->wire == OMNI_F32) {
        omni_narrow(wire, s, d, n);
    } else if (from->wire == OMNI_F32) {
        omni_widen(wire, s, d, n);
    } else {
        omni_round_to(wire, s, d, n);
    }
}

void view_copy(const omni_view *dst, size_t to, const omni_view *src, size_t from, size_t bytes) {
    view_run d = run_at(dst, to), s = run_at(src, from);
    while (bytes > 0 && d.left > 0 && s.left > 0) {
        size_t n = bytes;
        if (n > d.left) n = d.left;
        if (n > s.left) n = s.left;
        run_copy(&d, &s, n);
        bytes -= n;
        run_advance(&d, n);
        run_advance(&s, n);
    }
}

void view_combine(const omni_view *form, void *acc, void *in, size_t at, size_t bytes,
                  omni_fabric_combine *combine, const void *arg) {
    omni_view to = view_plain(*form), from = to;
    to.base = acc;
    from.base = in;
    view_run d = run_at(&to, at), s = run_at(&from, at);
    while (bytes > 0 && d.left > 0) {
        size_t n = bytes < d.left ? bytes : d.left;
        combine(d.at, s.at, n, arg);
        bytes -= n;
        run_advance(&d, n);
        run_advance(&s, n);
    }
}

bool view_same(const omni_view *a, const omni_view *b) {
    view_run ra = run_at(a, 0), rb = run_at(b, 0);
    return ra.left > 0 && ra.at == rb.at;
}
