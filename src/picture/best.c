/* best.c: the best plan over batch x sequence: a map for each source, model, number of PEs and kind of test.
 *
 *     A megatron  B workflow2
 *           pp128  pp512
 *      1      B      A
 *      8      A      A
 */
#include <stdio.h>

#include "picture/internal.h"

enum { SIDE = 10, CELL = 40, LEFT = 60 }; /* pixels: the height of a cell; what stands on the left */

/* Light: a cell has dark text in it. The last one is for all others. */
static const char *const colours[COLOURS] = {"#77aadd", "#ee8866", "#eedd88", "#ffaabb",
                                             "#99ddff", "#44bb99", "#bbcc33", "#dddddd"};

typedef struct map {
    const omni_point *like; /* of one source, model, kind and number of PEs */
    const omni_point *best[SIDE][SIDE];
    char test[SIDE][64];
    size_t sequence[SIDE], tests, batch[SIDE], batches, cells, rivals;
    bool cut; /* more rows or columns than SIDE */
} map;

/* Prompts, generation, both, an encoder's pass. */
static int test_kind(const char *test) {
    return strchr(test, '+') ? '+' : test[0];
}

static bool in_map(const omni_point *like, const omni_point *p) {
    return p->s > 0 && p->pes && p->batch && p->pes == like->pes && p->modelled == like->modelled &&
           strcmp(p->source, like->source) == 0 && strcmp(p->model, like->model) == 0 &&
           test_kind(p->test) == test_kind(like->test);
}

/* The place of a column or row, inserted in ascending order; SIDE: there is no room. */
static size_t column_of(map *m, const omni_point *p) {
    size_t i = 0;
    while (i < m->tests && strcmp(m->test[i], p->test) != 0) i++;
    if (i < m->tests || m->tests == SIDE) return i;
    while (i && m->sequence[i - 1] > p->sequence) {
        m->sequence[i] = m->sequence[i - 1];
        memcpy(m->test[i], m->test[i - 1], sizeof *m->test);
        i--;
    }
    m->sequence[i] = p->sequence;
    memcpy(m->test[i], p->test, sizeof *m->test);
    m->tests++;
    return i;
}

static size_t row_of(map *m, const omni_point *p) {
    size_t i = 0;
    while (i < m->batches && m->batch[i] != p->batch) i++;
    if (i < m->batches || m->batches == SIDE) return i;
    for (; i && m->batch[i - 1] > p->batch; i--) m->batch[i] = m->batch[i - 1];
    m->batch[i] = p->batch;
    m->batches++;
    return i;
}

static map map_of(const omni_results *r, const omni_point *like) {
    map m = {.like = like};
    for (size_t i = 0; i < omni_results_count(r); i++) { /* first the axes, then what is where */
        const omni_point *p = omni_results_at(r, i);
        if (!in_map(like, p)) continue;
        size_t x = column_of(&m, p), y = row_of(&m, p);
        m.cut = m.cut || x == SIDE || y == SIDE;
    }
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        if (!in_map(like, p)) continue;
        size_t x = column_of(&m, p), y = row_of(&m, p);
        if (x == SIDE || y == SIDE) continue;
        m.cells += !m.best[y][x];
        m.rivals += m.best[y][x] != NULL;
        if (!m.best[y][x] || p->s < m.best[y][x]->s) m.best[y][x] = p;
    }
    return m;
}

/* The one with most cells; of several the one of whole generations, then of the most PEs. */
static bool map_beats(const map *a, const map *b) {
    if (a->cells != b->cells) return a->cells > b->cells;
    bool whole = test_kind(a->like->test) == '+', other = test_kind(b->like->test) == '+';
    return whole != other ? whole : a->like->pes > b->like->pes;
}

/* Of contested cells, at least two. The first `most` into out; how many there are. */
static size_t maps_find(const omni_results *r, map *out, size_t most) {
    size_t count = 0, of = 0;
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        size_t first = 0;
        while (first < i && !in_map(omni_results_at(r, first), p)) first++;
        if (first < i || !in_map(p, p)) continue;
        map m = map_of(r, p);
        if (m.cells < 2 || !m.rivals) continue;
        of++;
        size_t at = count;
        while (at && map_beats(&m, &out[at - 1])) at--;
        if (at == most) continue;
        count += count < most;
        memmove(out + at + 1, out + at, (count - 1 - at) * sizeof *out);
        out[at] = m;
    }
    return of;
}

bool has_best(const omni_results *r) {
    map m;
    return maps_find(r, &m, 1) > 0;
}

/* --- the plans -------------------------------------------------------------------------------- */

/* Plans that are the best somewhere, those of most cells first; the last takes all others. */
typedef struct winners {
    const char *plan[PANELS * SIDE * SIDE];
    size_t cells[PANELS * SIDE * SIDE], count;
} winners;

static void add_winner(winners *w, const char *plan) {
    size_t i = 0;
    while (i < w->count && strcmp(w->plan[i], plan) != 0) i++;
    if (i == w->count) {
        w->plan[w->count] = plan;
        w->cells[w->count++] = 0;
    }
    size_t cells = w->cells[i] + 1;
    for (; i && w->cells[i - 1] < cells; i--) {
        w->plan[i] = w->plan[i - 1];
        w->cells[i] = w->cells[i - 1];
    }
    w->plan[i] = plan;
    w->cells[i] = cells;
}

static void find_winners(const map *list, size_t count, winners *w) {
    w->count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t y = 0; y < list[i].batches; y++)
            for (size_t x = 0; x < list[i].tests; x++)
                if (list[i].best[y][x]) add_winner(w, list[i].best[y][x]->plan);
}

static size_t winner_of(const winners *w, const char *plan) {
    size_t i = 0;
    while (strcmp(w->plan[i], plan) != 0) i++;
    return i < COLOURS - 1 || w->count == COLOURS ? i : COLOURS - 1;
}

static void draw_legend(const winners *w, canvas *c) {
    canvas_key key[COLOURS];
    char text[COLOURS][300];
    size_t count = w->count < COLOURS ? w->count : COLOURS;
    common k = common_of(w->plan, count, canvas_columns(c, LEFT));
    char less[260];
    common_note(c, k, w->plan[0]);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == COLOURS && w->count > COLOURS)
            snprintf(text[i], sizeof text[i], "%c  %zu other plans", (int)('A' + i), w->count - i);
        else
            snprintf(text[i], sizeof text[i], "%c  %s", (int)('A' + i),
                     common_less(k, w->plan[i], less, sizeof less));
        key[i] = (canvas_key){MARK_BOX, colours[i], text[i]};
    }
    canvas_legend(c, key, count, true);
}

/* --- a map ------------------------------------------------------------------------------------ */

static void figure_of(const omni_point *p, unit u, char *buf, size_t cap) {
    double x = u.each > 0 ? p->s / u.each : p->tokens_per_s;
    const char *thousands = x < 1e4 ? "" : x < 1e6 ? "k" : x < 1e9 ? "M" : "G";
    x /= x < 1e4 ? 1 : x < 1e6 ? 1e3 : x < 1e9 ? 1e6 : 1e9;
    snprintf(buf, cap, x >= 100 ? "%.0f%s" : "%.3g%s", x, thousands);
}

/* Tokens/s where all cells have them, else a time. */
static unit unit_of_map(const map *m) {
    bool rates = true;
    double longest = 0;
    for (size_t y = 0; y < m->batches; y++)
        for (size_t x = 0; x < m->tests; x++) {
            if (!m->best[y][x]) continue;
            rates = rates && isfinite(m->best[y][x]->tokens_per_s);
            longest = fmax(longest, m->best[y][x]->s);
        }
    return rates ? (unit){"tokens/s", 0} : unit_of_time(longest);
}

static void draw_head(const map *m, unit u, canvas *c) {
    char title[320], where[80];
    snprintf(title, sizeof title, "%s, n=%zu, %s: %s of the best plan%s", m->like->model, m->like->pes,
             point_where(m->like, where, sizeof where), u.name,
             m->cut ? " (the first rows and columns)" : "");
    canvas_title(c, title);
}

/* x of the middle of a column. */
static double middle(const map *m, size_t x, const canvas *c) {
    double each = (c->width - LEFT - MARGIN - 8) / (double)m->tests;
    return LEFT + ((double)x + 0.5) * each;
}

/* Names of the columns, as many lines as they need. */
static void place_columns(const map *m, canvas *c) {
    double begin = c->y, lowest = c->y;
    size_t columns = (size_t)((middle(m, 1, c) - middle(m, 0, c)) / 7.4);
    canvas_text(c, LEFT - 8, c->y + LINE / 2.0, "right tc rgb '#777777'", "batch");
    for (size_t x = 0; x < m->tests; x++) {
        c->y = begin;
        canvas_wrapped(c, middle(m, x, c), columns > 8 ? columns : 8,
                       columns > 8 ? "center" : "center font 'sans-serif,9'", m->test[x]);
        lowest = fmax(lowest, c->y);
    }
    c->y = lowest + 2;
}

static void draw_map(const map *m, const winners *w, canvas *c) {
    char text[32];
    unit u = unit_of_map(m);
    draw_head(m, u, c);
    place_columns(m, c);
    omni_text_add(c->out, "$best << EOD\n");
    for (size_t y = 0; y < m->batches; y++)
        for (size_t x = 0; x < m->tests; x++)
            if (m->best[y][x])
                omni_text_add(c->out, "%zu %zu 0x%s\n", x, y, colours[winner_of(w, m->best[y][x]->plan)] + 1);
    omni_text_add(c->out, "EOD\n");
    for (size_t y = 0; y < m->batches; y++) {
        double top = c->y + CELL * (double)y;
        snprintf(text, sizeof text, "%zu", m->batch[y]);
        canvas_text(c, LEFT - 8, top + CELL / 2.0, "right", text);
        for (size_t x = 0; x < m->tests; x++) {
            const omni_point *p = m->best[y][x];
            if (!p) continue;
            snprintf(text, sizeof text, "%c", (int)('A' + winner_of(w, p->plan)));
            canvas_text(c, middle(m, x, c), top + CELL * 0.3, "center front tc rgb '#111111'", text);
            figure_of(p, u, text, sizeof text);
            canvas_text(c, middle(m, x, c), top + CELL * 0.72,
                        "center front tc rgb '#111111' font 'sans-serif,12'", text);
        }
    }
    canvas_region(c, LEFT, CELL * (double)m->batches);
    omni_text_add(c->out,
                  "set xrange [-0.5:%zu-0.5]\nset yrange [%zu-0.5:-0.5]\nplot $best using "
                  "1:2:($1-0.49):($1+0.49):($2-0.48):($2+0.48):3 with boxxyerror lc rgb variable notitle\n",
                  m->tests, m->batches);
    canvas_next(c);
    c->y += 8;
}

void draw_best(const omni_results *r, canvas *c) {
    map list[PANELS];
    winners w;
    char note[64];
    size_t of = maps_find(r, list, PANELS), count = of < PANELS ? of : PANELS;
    find_winners(list, count, &w);
    omni_text_add(c->out, "set style fill solid noborder\nunset border\nunset tics\nset multiplot\n");
    c->y = 8;
    draw_legend(&w, c);
    snprintf(note, sizeof note, "the %zu largest of %zu maps", count, of);
    if (of > count) canvas_note(c, note);
    for (size_t i = 0; i < count; i++) draw_map(&list[i], &w, c);
    omni_text_add(c->out, "unset multiplot\n");
}
